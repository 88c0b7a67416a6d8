# Several ranks on a GPU take turns unless NVIDIA MPS lets them compute at the same time: one daemon for those ranks of a
# node that were given the same GPUs, which in most jobs are all of them. One of these ranks starts and ends it: the first
# of the node for its own, and for others who comes first. Its files are on the node itself, and nobody else uses the same.
local_rank=${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-}}
if command -v nvidia-cuda-mps-control >/dev/null; then
    node=/tmp/tombola-mps-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}-$(uname -n)
    # Short, because the names of sockets are.
    given=$(cksum <<<"${CUDA_VISIBLE_DEVICES-all}")
    mps=$node/${given%% *}
    export CUDA_MPS_PIPE_DIRECTORY=$mps/pipe CUDA_MPS_LOG_DIRECTORY=$mps/log
    begin_mps() {
        # All users share the folder above: another may have taken the name before.
        if [[ -L $node || ! -O $node ]] || ! mkdir "$mps" 2>/dev/null; then return; fi
        mkdir "$mps/pipe" "$mps/log"
        nvidia-cuda-mps-control -d
        afterwards=end_mps
    }
    end_mps() {
        echo quit | nvidia-cuda-mps-control
        rm -rf -- "$mps"
        rmdir "$node" 2>/dev/null
    }
    [[ $local_rank != 0 ]] || { mkdir -m 700 "$node" && begin_mps; }
    for ((tries = 0; tries < 100; tries++)); do
        [[ ! -e $mps/pipe/control ]] || break
        # The first rank has begun its own.
        ! compgen -G "$node/*/pipe/control" >/dev/null || begin_mps
        sleep 0.1
    done
    if [[ -L $node || (-e $node && ! -O $node) ]]; then
        echo "no NVIDIA MPS on $(uname -n): $node is not a folder of this job; ranks take turns on a GPU" >&2
        unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
    fi
    # The daemon numbers the GPUs that it was given from 0; their long names stay. The program tells ranks of one number at
    # two daemons apart by the folders of these.
    if [[ -n ${CUDA_MPS_PIPE_DIRECTORY:-} && -e $mps/pipe/control && ${CUDA_VISIBLE_DEVICES:-} =~ ^[0-9,]+$ ]]; then
        IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
        CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${!gpus[*]}")
    fi
fi
