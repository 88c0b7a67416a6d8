# Several ranks on a GPU take turns unless NVIDIA MPS lets them compute at the same time: one daemon a node, which the
# first rank there starts and ends. Its files are on the node itself, and nobody else uses the same.
local_rank=${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-}}
if command -v nvidia-cuda-mps-control >/dev/null; then
    mps=/tmp/tombola-mps-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}-$(uname -n)
    export CUDA_MPS_PIPE_DIRECTORY=$mps/pipe CUDA_MPS_LOG_DIRECTORY=$mps/log
    end_mps() { echo quit | nvidia-cuda-mps-control; rm -rf -- "$mps"; }
    if [[ $local_rank == 0 ]] && mkdir -m 700 "$mps"; then
        mkdir "$mps/pipe" "$mps/log"
        nvidia-cuda-mps-control -d
        afterwards=end_mps
    fi
    for ((tries = 0; tries < 100; tries++)); do
        [[ ! -e $mps/pipe/control ]] || break
        sleep 0.1
    done
    # All users share that folder: another may have taken the name before.
    if [[ -L $mps || (-e $mps && ! -O $mps) ]]; then
        echo "no NVIDIA MPS on $(uname -n): $mps is not a folder of this job; ranks take turns on a GPU" >&2
        unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
    fi
    # The daemon numbers the GPUs that it was given from 0.
    if [[ -n ${CUDA_MPS_PIPE_DIRECTORY:-} && -e $mps/pipe/control && -n ${CUDA_VISIBLE_DEVICES:-} ]]; then
        IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
        CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${!gpus[*]}")
    fi
fi
