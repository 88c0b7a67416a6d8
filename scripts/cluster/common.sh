# shellcheck shell=bash
# shellcheck disable=SC2016 # backticks in messages mark literals
#
# What the scripts of this folder share: functions only, to be sourced. It may not know MPI, Slurm or the program.
#
# A pretended host is a set of namespaces (processes, network, name, mounts, memory segments) that one process holds,
# the host's init. Whatever else runs on the host ends with that process, the kernel sees to it: so a power-off, and the
# way back to a clean machine, is one SIGKILL, and no process of anybody else can be hit.
#
#   FOLDER/hosts/NAME   process and start time of the init of host NAME; `switch` is that of the network between them
#   FOLDER/etc          what the hosts have in place of the machine's own /etc, and the keys of their sshd
#   FOLDER/tmp/NAME     TMPDIR on that host
#   FOLDER/slurm        the private Slurm, where slurm-up.sh made one
#   FOLDER/log          what the daemons say

# fail MESSAGE [HINT]: as the program itself does it; 3 means that the machine lacks something.
fail() {
    printf 'error: %s\n' "$1" >&2
    if [[ -n ${2:-} ]]; then
        printf '\nhint: %s\n' "$2" >&2
    fi
    exit 3
}

# usage LINE: the command line was wrong.
usage() {
    printf 'usage: %s\n' "$1" >&2
    exit 2
}

need_root() {
    ((EUID == 0)) || fail 'pretended hosts are made of namespaces, which need root' "run it with \`sudo\`"
}

# need COMMAND=PACKAGE...: each command must be there; the package is Debian's.
need() {
    local pair missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    ((${#missing[@]} == 0)) || fail "these packages are missing: ${missing[*]}" \
        "Debian, Ubuntu: apt-get install --no-install-recommends ${missing[*]}"
}

# open_folder FOLDER: leaves `folder`, absolute, so that it means the same on each host.
open_folder() {
    folder=$(CDPATH='' cd -- "$1" 2>/dev/null && pwd) || fail "there is no folder \`$1\`" 'give the folder that hosts-up.sh was given'
}

# init_of NAME: prints the process that holds the host, and fails where the host is off. The start time tells it from
# another process that got the same number later.
init_of() {
    local process started stat
    read -r process started 2>/dev/null <"$folder/hosts/$1" || return 1
    read -ra stat 2>/dev/null <"/proc/$process/stat" || return 1
    [[ ${stat[21]} == "$started" && ${stat[2]} != Z ]] && printf '%s' "$process"
}

# need_host NAME: leaves `init`.
need_host() {
    init=$(init_of "$1") || fail "the host \`$1\` is not up in \`$folder\`" "hosts that were made: $(names)"
}

# names: all hosts that were made, also those that are off.
names() {
    local file list=()
    for file in "$folder"/hosts/node*; do
        if [[ -e $file ]]; then list+=("${file##*/}"); fi
    done
    printf '%s' "${list[*]}"
}

# on NAME COMMAND...: runs it there, in the folder of the caller.
on() {
    local init name=$1
    shift
    need_host "$name"
    # OMPI_ALLOW_RUN_AS_ROOT: on a pretended host everything runs as root, which Open MPI refuses unless told twice.
    # Binding is off because all hosts share the processors of one machine, and each would bind to the first ones.
    nsenter --target "$init" --pid --net --uts --ipc --mount -- env --chdir="$PWD" \
        TMPDIR="$folder/tmp/$name" SLURM_CONF="$folder/slurm/slurm.conf" \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none "$@"
}

# in_switch COMMAND...: runs it in the network that joins the hosts.
in_switch() {
    local switch
    switch=$(init_of switch) || fail "the hosts in \`$folder\` are not up" 'make them with hosts-up.sh'
    nsenter --target "$switch" --net -- "$@"
}

# end_host NAME: ends all that runs there. Returns when the last process is gone.
end_host() {
    local process
    while process=$(init_of "$1"); do
        kill -KILL "$process" 2>/dev/null || true
        sleep 0.01
    done
}
