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

# Memory that runs out once may be chance; a job to which it happens each time would go round for ever.
memory_ran_out() {
    (($(memory_kills) > killed_before)) || sacct --noheader --parsable2 --jobs="$job" --format=State 2>/dev/null | grep -q OUT_OF_MEMORY
}
if ((code == 75)) && memory_ran_out; then
    known='' times=0
    [[ ! -r $results/slurm-memory ]] || read -r known times <"$results/slurm-memory"
    [[ $known == "$job" ]] || times=0
    say "the system ended a process of this job because memory ran out, time $((++times)): ask for more (\`--mem\`), or use fewer ranks a node or a smaller \`--batch-size\`"
    if ((times > 2)); then
        say 'not back into the queue: memory ran out after it was there for that twice'
        code=3
    else
        echo "$job $times" >"$results/slurm-memory"
    fi
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
