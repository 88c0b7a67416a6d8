# One mpirun for all nodes, and not srun, under which the death of one rank ends all others.
#   Open MPI 4   lets the other ranks live only if asked to, and notices a cut cable only if told to probe connections
#   Open MPI 5   has another word for the first
#   others       are left to their own ways
# Unbound, because Open MPI binds each of two ranks to one core, with all its threads.
command -v mpirun >/dev/null || give_up "there is no \`mpirun\` on $(uname -n): load the MPI that the program was built with"
case $(mpirun --version 2>&1) in
    *'(Open MPI) 4.'*)
        launch=(mpirun --bind-to none --enable-recovery --mca oob_tcp_keepalive_time 2
            --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 3)
        ;;
    *'(Open MPI) '[1-3].*) launch=(mpirun --bind-to none) ;;
    *'(Open MPI) '*) launch=(mpirun --bind-to none --with-ft ulfm) ;;
    *) launch=(mpirun) ;;
esac

ended=$folder/ended
"${launch[@]}" -n "$ranks" bash -c "$rank_program" rank "$ended" "$program" "${arguments[@]}" &
started=$!
seconds=0
while still_runs; do
    # mpirun may wait for ever for a rank or a host that is lost: once rank 0 has ended it gets 20 s.
    [[ -s $ended ]] || continue
    case $((++seconds)) in
        20) say 'mpirun goes on 20 s after rank 0 has ended: ending it' && kill -TERM "$started" ;;
        30) kill -KILL "$started" ;;
    esac
done
wait "$started"
code=$?
# What rank 0 says counts, whatever mpirun makes of ranks that were lost.
if [[ -s $ended ]]; then
    read -r code <"$ended"
elif ((code == 0)); then
    give_up 'mpirun has ended well, but rank 0 left no exit code on this node'
fi
