#!/usr/bin/env bash
# shellcheck disable=SC2016 # backticks in messages mark literals
#
# scripts/cluster/slurm-up.sh FOLDER [--gpus COUNT] [--cpus COUNT] [--port PORT]: a private Slurm on the pretended hosts
# that hosts-up.sh made in FOLDER: controller on node0, one computing node on each other host, partition `main`.
#
# Each node says that it has COUNT GPUs (0 unless given), which Slurm only counts and names in CUDA_VISIBLE_DEVICES, and
# COUNT processors (4), whatever the machine really has. Slurm's commands work on the hosts: `on.sh FOLDER node0 sinfo`.
# Daemons, keys, spool and logs are in FOLDER/slurm; nothing outside FOLDER is read or written, so a Slurm that the
# machine really belongs to is left alone.
#
# Waiting times are short: a node is down some 20 s after its last word, and a requeued job starts again after 5 s (Slurm's
# own value is two minutes). Time limits are checked every 30 s or so, which no setting changes: a signal asked for
# before a limit may come a minute early; `scancel --batch --signal=USR1 JOB` gives the same one at once.
#
# Needs, besides what hosts-up.sh does, the packages slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins and munge.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"
readonly synopsis='slurm-up.sh FOLDER [--gpus COUNT] [--cpus COUNT] [--port PORT]'

(($# >= 1)) || usage "$synopsis"
given=$1
shift
gpus=0 cpus=4 port=6817
while (($# >= 2)); do
    [[ $2 =~ ^[0-9]{1,5}$ ]] || fail "$1: found \`$2\`, expected a number"
    case $1 in
        --gpus) gpus=$2 ;;
        --cpus) cpus=$2 ;;
        --port) port=$2 ;;
        *) usage "$synopsis" ;;
    esac
    shift 2
done
(($# == 0)) || usage "$synopsis"
need_root
need slurmctld=slurmctld slurmd=slurmd sbatch=slurm-client munged=munge mknod=coreutils
open_folder "$given"
need_host node0
PATH=$PATH:/usr/sbin:/sbin
slurm=$folder/slurm
# A controller that finds the state of an earlier one would go on with its jobs.
rm -rf -- "$slurm"
mkdir -p -- "$slurm"/{state,log,gpu}
read -ra nodes <<<"$(names)"
nodes=("${nodes[@]:1}")
((${#nodes[@]} > 0)) || fail "there is no host but node0 in \`$folder\`" 'give hosts-up.sh a COUNT of at least 1'
address() { sed -n "s/ $1\$//p" "$folder/etc/hosts"; }

write_settings() {
    local number
    cat >"$slurm/slurm.conf" <<SETTINGS
ClusterName=pretended
SlurmctldHost=node0($(address node0))
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# cred_expire is also how long a requeued job has to wait.
AuthInfo=socket=$slurm/munge.socket,cred_expire=5
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool-%n
TmpFS=$folder/tmp/%n
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd-%n.pid
SlurmctldLogFile=$slurm/log/slurmctld
SlurmdLogFile=$slurm/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# More processors than there are would otherwise put a node out of service.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0
MpiDefault=none
ReturnToService=2
KillWait=5
MessageTimeout=5
SlurmdTimeout=10
SlurmctldTimeout=10
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
$(for node in "${nodes[@]}"; do
        printf 'NodeName=%s NodeAddr=%s CPUs=%s' "$node" "$(address "$node")" "$cpus"
        if ((gpus > 0)); then printf ' Gres=gpu:%s' "$gpus"; fi
        printf '\n'
    done)
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
SETTINGS
    : >"$slurm/gres.conf"
    # Any device file will do; these are further ones of /dev/null.
    for ((number = 0; number < gpus; number++)); do mknod -m 666 "$slurm/gpu/$number" c 1 3; done
    for node in "${nodes[@]}"; do
        if ((gpus > 0)); then printf 'NodeName=%s Name=gpu File=%s\n' "$node" "$slurm/gpu/[0-$((gpus - 1))]"; fi
    done >>"$slurm/gres.conf"
}

# A munge with a key, a socket and a log of its own. One for all hosts: they have the file system in common.
start_munge() {
    (umask 077 && head -c 128 /dev/urandom >"$slurm/munge.key")
    on node0 "$(command -v munged)" --force --key-file="$slurm/munge.key" --socket="$slurm/munge.socket" \
        --pid-file="$slurm/munged.pid" --log-file="$slurm/log/munged" --seed-file="$slurm/munge.seed" --num-threads=2 \
        2>>"$slurm/log/munged.start"
}

start_daemons() {
    local node
    start_munge
    on node0 "$(command -v slurmctld)" -c
    for node in "${nodes[@]}"; do
        mkdir -p -- "$slurm/spool-$node"
        on "$node" "$(command -v slurmd)" -N "$node"
    done
}

wait_for_nodes() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        if [[ $(on node0 sinfo --noheader --states=idle --format=%D 2>/dev/null) == "${#nodes[@]}" ]]; then return; fi
        sleep 0.1
    done
    on node0 sinfo >&2 || true
    fail 'not all nodes came into service within 20 s' "see \`$slurm/log\`"
}

trap '"$here/slurm-down.sh" "$folder"' EXIT
write_settings
start_daemons
wait_for_nodes
trap - EXIT
printf 'slurm up: %s nodes; try `%s/on.sh %s node0 srun --nodes=%s hostname`\n' "${#nodes[@]}" "$here" "$folder" "${#nodes[@]}"
