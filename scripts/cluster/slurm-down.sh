#!/usr/bin/env bash
#
# scripts/cluster/slurm-down.sh FOLDER: ends the jobs and daemons of the Slurm that slurm-up.sh started there, and keeps
# its logs. The hosts stay up. Where the hosts are to go too, hosts-down.sh alone ends both.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

(($# == 1)) || usage 'slurm-down.sh FOLDER'
[[ -e $1/slurm/slurm.conf ]] || exit 0
need_root
open_folder "$1"
slurm=$folder/slurm

# Jobs first: their processes are children of the daemons' children, and outlive the daemons.
if init_of node0 >/dev/null; then
    on node0 timeout 5 scancel --user=root 2>/dev/null || true
    for ((tries = 0; tries < 80; tries++)); do
        [[ -n $(on node0 timeout 5 squeue --noheader 2>/dev/null || true) ]] || break
        sleep 0.1
    done
fi

# stop NODE FILE: the number in the file is one of that host's processes, so it cannot be anybody else's.
stop() {
    local process tries
    init_of "$1" >/dev/null && read -r process 2>/dev/null <"$2" || return 0
    for ((tries = 0; tries < 100; tries++)); do
        if ((tries < 50)); then on "$1" kill -TERM "$process" 2>/dev/null || break; else on "$1" kill -KILL "$process" 2>/dev/null || break; fi
        sleep 0.1
    done
    rm -f -- "$2"
}

for node in $(names); do stop "$node" "$slurm/slurmd-$node.pid"; done
stop node0 "$slurm/slurmctld.pid"
stop node0 "$slurm/munged.pid"
rm -rf -- "$slurm"/{state,gpu,munge.*,spool-*,slurm.conf,gres.conf}
