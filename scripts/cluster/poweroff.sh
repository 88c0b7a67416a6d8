#!/usr/bin/env bash
#
# scripts/cluster/poweroff.sh FOLDER NODE: switches a pretended host off, as a power cut would: everything on it is gone
# at once, and the others hear nothing of it, because the cable is pulled first and no connection is closed.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

(($# == 2)) || usage 'poweroff.sh FOLDER NODE'
need_root
open_folder "$1"
need_host "$2"
in_switch ip link set "to-$2" down
end_host "$2"
