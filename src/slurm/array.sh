"$program" "${arguments[@]}" --shard "$SLURM_ARRAY_TASK_ID/$shards" &
started=$!
wait_for_it
