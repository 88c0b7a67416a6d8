#!/usr/bin/env bash
#
# scripts/cluster/on.sh FOLDER NODE COMMAND...: runs a command on a pretended host, in the caller's folder, with the
# caller's standard input and output; its exit code is that of the command.
#
# The command is a process of that host, and only what runs there sees it: a signal for it has to be sent there too,
# `on.sh FOLDER NODE pkill -USR1 -x mpirun`. Ending on.sh itself leaves the command running.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

(($# >= 3)) || usage 'on.sh FOLDER NODE COMMAND...'
need_root
open_folder "$1"
shift
on "$@"
