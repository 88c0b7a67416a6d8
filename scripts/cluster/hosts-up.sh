#!/usr/bin/env bash
# shellcheck disable=SC2016 # backticks in messages mark literals
#
# scripts/cluster/hosts-up.sh FOLDER COUNT [--net PREFIX]: makes pretended hosts on this machine, for tests of what
# happens between hosts: node0, from which one starts things, and node1 to nodeCOUNT.
#
# Each has its own processes, host name, network address (PREFIX.10 and up; 10.77.0 unless given), /dev/shm, /etc/hosts,
# TMPDIR and sshd; all have the file system of this machine in common, as clusters have a shared one. They are joined by
# a bridge in a namespace of its own, so this machine keeps no interface, route or address, and any number of such
# clusters stand side by side, each with a FOLDER of its own, even with the same addresses. On a host, `ssh node2` works
# without further settings, and so `mpirun --hostfile`.
#
#   on.sh FOLDER NODE COMMAND...     runs a command on a host
#   link.sh FOLDER NODE down|up      pulls the host's network cable, or plugs it in again
#   poweroff.sh FOLDER NODE          switches a host off
#   hosts-down.sh FOLDER             ends it all
#
# Needs root, and the packages iproute2, util-linux, hostname, openssh-server, openssh-client. Takes about a second.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

net=10.77.0
if (($# == 4)) && [[ $3 == --net ]]; then net=$4; fi
(($# == 2)) || { (($# == 4)) && [[ $3 == --net ]]; } || usage 'hosts-up.sh FOLDER COUNT [--net PREFIX]'
[[ $2 =~ ^[1-9][0-9]?$ ]] || fail "COUNT: found \`$2\`, expected a number of hosts from 1 to 99"
[[ $net =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "--net: found \`$net\`, expected three numbers such as \`10.77.0\`"
count=$2
need_root
need ip=iproute2 unshare=util-linux nsenter=util-linux hostname=hostname sshd=openssh-server ssh=openssh-client
mkdir -p -- "$1" || fail "cannot make the folder \`$1\`" 'choose another place'
open_folder "$1"
[[ $folder != *[[:space:]]* ]] || fail "the path \`$folder\` has a blank in it, which settings of sshd and Slurm cannot hold" 'choose another folder'
[[ -e $folder/.pretended-hosts || -z $(ls -A -- "$folder") ]] || fail "the folder \`$folder\` is not empty" 'give a new one: what is in it would be overwritten'
! init_of switch >/dev/null || fail "there are hosts in \`$folder\` already" "end them with hosts-down.sh, or give another folder"
mkdir -p -- "$folder"/{hosts,etc,log,tmp}
: >"$folder/.pretended-hosts"
rm -f -- "$folder"/hosts/*
sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)

# What the hosts have in place of the machine's own files. The machine's name server is out of their reach, and asking
# it would only make them wait; a machine whose root has no password would have no log-in either, hence `shadow`.
write_settings() {
    local number etc=$folder/etc
    rm -f -- "$etc"/{host,user}_key{,.pub}
    ssh-keygen -q -t ed25519 -N '' -f "$etc/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$etc/user_key"
    : >"$etc/resolv.conf"
    printf '127.0.0.1 localhost\n' >"$etc/hosts"
    : >"$etc/known_hosts"
    for ((number = 0; number <= count; number++)); do
        printf '%s.%s node%s\n' "$net" $((10 + number)) "$number" >>"$etc/hosts"
        printf 'node%s %s\n' "$number" "$(cut -d ' ' -f 1,2 "$etc/host_key.pub")" >>"$etc/known_hosts"
    done
    (umask 077 && printf 'root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n' >"$etc/shadow")
    cat >"$etc/ssh_config" <<SETTINGS
Host *
    IdentityFile $etc/user_key
    GlobalKnownHostsFile $etc/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 5
    LogLevel ERROR
SETTINGS
    cp -- "$etc/user_key.pub" "$etc/authorized_keys"
}

# The folder that holds the keys may belong to a test, below /tmp: StrictModes would refuse it.
write_sshd_settings() {
    cat >"$folder/etc/sshd_config.$1" <<SETTINGS
Port 22
HostKey $folder/etc/host_key
AuthorizedKeysFile $folder/etc/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PidFile none
SetEnv PATH=$PATH TMPDIR=$folder/tmp/$1 SLURM_CONF=$folder/slurm/slurm.conf
SETTINGS
}

# The init of a host. It reads its own number in the machine's /proc before it mounts the host's; it waits for ever, and
# bash, unlike sleep, sees orphans to their graves. /run/sshd, without which sshd does not start, is a service manager's
# business, so where it is missing nothing in /run is missed if that is covered up.
# shellcheck disable=SC2016 # expanded by the shell that it is given to
readonly init_program='
    set -eu
    name=$1 folder=$2
    read -ra stat </proc/self/stat
    mount -t proc proc /proc
    hostname "$name"
    mount -t tmpfs tmpfs /dev/shm
    if [[ $name != switch ]]; then
        for file in hosts resolv.conf shadow; do mount --bind "$folder/etc/$file" "/etc/$file"; done
        mount --bind "$folder/etc/ssh_config" /etc/ssh/ssh_config
        [[ -d /run/sshd ]] || { mount -t tmpfs tmpfs /run && mkdir /run/sshd; }
    fi
    printf "%s %s\n" "${stat[0]}" "${stat[21]}" >"$folder/hosts/.$name"
    mv "$folder/hosts/.$name" "$folder/hosts/$name"
    while :; do
        sleep infinity &
        wait $! || :
    done'

# hold NAME: starts the init of a host, in a session of its own so that Ctrl-C here does not end it.
hold() {
    local starter tries
    setsid unshare --pid --net --uts --ipc --mount --propagation private --fork --kill-child \
        bash -c "$init_program" init "$1" "$folder" </dev/null >>"$folder/log/$1" 2>&1 &
    starter=$!
    for ((tries = 0; tries < 1000; tries++)); do
        if [[ -e $folder/hosts/$1 ]]; then return; fi
        kill -0 "$starter" 2>/dev/null || break
        sleep 0.01
    done
    fail "the host \`$1\` did not start: $(tail -n 1 -- "$folder/log/$1")" 'in a container, give it the capability SYS_ADMIN'
}

# start NUMBER
start() {
    local name=node$1 init
    mkdir -p -- "$folder/tmp/$name"
    write_sshd_settings "$name"
    hold "$name"
    need_host "$name"
    in_switch ip link add "to-$name" type veth peer name eth0 netns "$init"
    in_switch ip link set "to-$name" master bridge up
    on "$name" ip link set lo up
    on "$name" ip address add "$net.$((10 + $1))/24" dev eth0
    on "$name" ip link set eth0 up
    on "$name" "$sshd" -f "$folder/etc/sshd_config.$name" -E "$folder/log/sshd-$name"
}

# sshd opens its port a moment after it has gone to the background.
wait_for_ssh() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        if on node0 ssh "node$1" true 2>>"$folder/log/ssh"; then return; fi
        sleep 0.05
    done
    fail "no ssh from node0 to node$1: $(tail -n 1 -- "$folder/log/ssh")" "see \`$folder/log\`"
}

# What is half made is nobody's.
trap '"$here/hosts-down.sh" "$folder"' EXIT
write_settings
hold switch
in_switch ip link add bridge type bridge
in_switch ip link set bridge up
for ((number = 0; number <= count; number++)); do start "$number"; done
for ((number = 0; number <= count; number++)); do wait_for_ssh "$number"; done
trap - EXIT
printf 'hosts up: %s; try `%s/on.sh %s node0 ssh node1 hostname`\n' "$(names)" "$here" "$folder"
