ended=$1
shift
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-}}
# The launcher sends signals to all processes of a rank: this one only has to outlive them.
trap : USR1 USR2 TERM
"$@"
code=$?
if [[ $rank == 0 ]]; then
    printf "%s\n" "$code" >"$ended"
elif ((code != 0)); then
    echo "rank $rank on $(uname -n) ended with exit code $code" >&2
fi
${afterwards:-}
# mpirun of Open MPI 4 hangs if told to let ranks live and one on another node ends with anything but 0.
exit 0
