"$program" "${arguments[@]}" --shard "$SLURM_ARRAY_TASK_ID/$shards" &
started=$!
while still_runs; do :; done
wait "$started"
code=$?
