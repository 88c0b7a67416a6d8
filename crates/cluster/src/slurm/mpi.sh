# One mpirun for all nodes, and not srun, under which the death of one rank ends all others.
#   Open MPI 4   lets the other ranks live only if asked to, and notices a cut cable only if told to probe connections:
#                here after 20 to 30 s, because it kills the ranks behind the cable even if that is plugged in again
#   Open MPI 5   has another word for the first
#   others       are left to their own ways
# Unbound, because Open MPI binds each of two ranks to one core, with all its threads.
command -v mpirun >/dev/null || give_up "there is no \`mpirun\` on $(uname -n): load the MPI that the program was built with"
case $(mpirun --version 2>&1) in
    *'(Open MPI) 4.'*)
        launch=(mpirun --bind-to none --enable-recovery --mca oob_tcp_keepalive_time 10
            --mca oob_tcp_keepalive_intvl 5 --mca oob_tcp_keepalive_probes 4)
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
else
    killed=yes
fi
