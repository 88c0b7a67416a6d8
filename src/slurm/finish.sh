# 75 means "run me again, I go on where I stopped".
if ((code == 75 && ${SLURM_RESTART_COUNT:-0} < max_requeues)); then
    say "stopped before the end: back into the queue, time $((${SLURM_RESTART_COUNT:-0} + 1)) of $max_requeues"
    # Which Slurm does with a TERM.
    trap '' USR1 TERM
    scontrol requeue "$job"
elif ((code == 75)); then
    say "stopped before the end, and was in the queue $max_requeues times already: \`--max-requeues\` allows more"
fi
exit "$code"
