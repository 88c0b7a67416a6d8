say() {
    printf '%s job %s: %s\n' "$(date '+%F %T')" "$job" "$*" >&2
}

give_up() {
    say "$*"
    exit 3
}

command -v "$program" >/dev/null || give_up "there is no program \`$program\` on $(uname -n); \`--program PATH\` says where it is"

folder=$(mktemp -d) || give_up "cannot make a folder for temporary files on $(uname -n)"
trap 'rm -rf -- "$folder"' EXIT
# Nothing is ever written to it: reading it takes the time, and unlike `sleep` leaves no process behind.
mkfifo "$folder/silence"

# Slurm's signal before the time limit, or a TERM, asks the sweep to stop after the running epochs, which is USR1 to it.
# mpirun itself hands USR1 on to the ranks, but would take a TERM for an order to kill them.
started='' killed=''
# How many processes of this job the system has ended here because memory ran out, as its control groups tell.
memory_kills() {
    local groups two one file kills sum=0
    groups=$(cat /proc/self/cgroup 2>/dev/null)
    two=$(sed -n 's/^0:://p' <<<"$groups")
    one=$(sed -nE 's/^[0-9]+:([^:]*,)?memory(,[^:]*)?://p' <<<"$groups")
    # The first counts what happens below it too: that of the job, not of its steps.
    for file in "/sys/fs/cgroup${two%/step_*}/memory.events" "/sys/fs/cgroup/memory$one/memory.oom_control"; do
        kills=$(sed -n 's/^oom_kill //p' "$file" 2>/dev/null)
        ((sum += ${kills:-0}))
    done
    echo "$sum"
}
killed_before=$(memory_kills)
pass_on() {
    say 'asked to stop: passing it on'
    [[ -z $started ]] || kill -USR1 "$started" 2>/dev/null
}
trap pass_on USR1 TERM

# still_runs: after at most a second. `wait` alone would not do: when signals interrupt it, bash may lose the exit code.
still_runs() {
    read -rt 1 _ <>"$folder/silence"
    kill -0 "$started" 2>/dev/null
}
