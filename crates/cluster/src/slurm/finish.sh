# Who was killed has not said how the sweep ended, and mpirun may make a success of it. The results folder knows whether
# there is a sweep to go on with. Where nothing is left of it, the next start finds that, and writes its tables.
if [[ -n $killed ]] || ((code > 128)); then
    say "the process that coordinates was killed; the launcher ended with exit code $code"
    "$program" status "$results" --check >&2
    case $? in
        0 | 1 | 75) code=75 ;;
        *) ((code != 0)) || code=3 ;;
    esac
fi

# 75 means "run me again, I go on where I stopped". But who says `scancel` means it, although this script still runs.
if ((code == 75)) && [[ $(squeue --noheader --jobs="$job" --format='%T %r' 2>/dev/null) == 'COMPLETING None' ]]; then
    say 'cancelled before the end: submit it again to continue'
elif ((code == 75 && ${SLURM_RESTART_COUNT:-0} < max_requeues)); then
    say "stopped before the end: back into the queue, time $((${SLURM_RESTART_COUNT:-0} + 1)) of $max_requeues"
    # Which Slurm does with a TERM.
    trap '' USR1 TERM
    scontrol requeue "$job"
elif ((code == 75)); then
    say "stopped before the end, and was in the queue $max_requeues times already: \`--max-requeues\` allows more"
fi
exit "$code"
