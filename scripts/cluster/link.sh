#!/usr/bin/env bash
#
# scripts/cluster/link.sh FOLDER NODE down|up: pulls the network cable of a pretended host at the switch, or plugs it in
# again. What runs on the host goes on and is told nothing: connections neither end nor fail, they fall silent.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

[[ $# == 3 && ($3 == down || $3 == up) ]] || usage 'link.sh FOLDER NODE down|up'
need_root
open_folder "$1"
need_host "$2"
in_switch ip link set "to-$2" "$3"
