ended=$1
shift
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-}}
"$@" &
program=$!
trap "again=yes; kill -USR1 $program 2>/dev/null" USR1 USR2 TERM
while again=; wait "$program"; code=$?; [[ -n $again ]]; do :; done
if [[ $rank == 0 ]]; then
    printf "%s\n" "$code" >"$ended"
elif ((code != 0)); then
    echo "rank $rank on $(uname -n) ended with exit code $code" >&2
fi
${afterwards:-}
# mpirun of Open MPI 4 hangs if told to let ranks live and one on another node ends with anything but 0.
exit 0
