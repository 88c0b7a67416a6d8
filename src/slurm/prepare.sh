say() {
    printf '%s job %s: %s\n' "$(date '+%F %T')" "$job" "$*" >&2
}

give_up() {
    say "$*"
    exit 3
}

command -v "$program" >/dev/null || give_up "there is no program \`$program\` on $(uname -n); \`--program PATH\` says where it is"

# Slurm's signal before the time limit, or a TERM, asks the sweep to stop after the running epochs, which is USR1 to it.
# mpirun itself hands USR1 on to the ranks, but would take a TERM for an order to kill them.
started=''
signalled=''
pass_on() {
    signalled=yes
    say 'asked to stop: passing it on'
    [[ -z $started ]] || kill -USR1 "$started" 2>/dev/null
}
trap pass_on USR1 TERM

# A trapped signal ends `wait` early: then it waits again. Leaves `code`.
wait_for_it() {
    while
        signalled=
        wait "$started"
        code=$?
        [[ -n $signalled ]]
    do :; done
}
