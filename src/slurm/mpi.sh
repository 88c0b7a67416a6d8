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

folder=$(mktemp -d) || give_up "cannot make a folder for temporary files on $(uname -n)"
trap 'rm -rf -- "$folder"' EXIT
ended=$folder/ended
mkfifo "$folder/silence"

# mpirun may wait for ever for a rank or a host that is lost: once rank 0 has ended it gets 20 s. Nothing is ever written
# to `silence`; reading it takes the time without a process that would stay behind.
watch() {
    until [[ -s $ended ]]; do read -rt 1 _ <>"$folder/silence"; done
    read -rt 20 _ <>"$folder/silence"
    say 'mpirun goes on 20 s after rank 0 has ended: ending it'
    kill -TERM "$started"
    read -rt 10 _ <>"$folder/silence"
    kill -KILL "$started"
}

"${launch[@]}" -n "$ranks" bash -c "$rank_program" rank "$ended" "$program" "${arguments[@]}" &
started=$!
watch &
watcher=$!
disown "$watcher"
wait_for_it
kill "$watcher" 2>/dev/null
# What rank 0 says counts, whatever mpirun makes of ranks that were lost. Without a word of it nothing is done.
if [[ -s $ended ]]; then
    read -r code <"$ended"
elif ((code == 0)); then
    give_up 'mpirun has ended well, but rank 0 left no exit code on this node'
fi
