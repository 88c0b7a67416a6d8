"""PyTorch's training step on a GPU, eager and as one CUDA graph, beside which Tombola's is measured.

    python peer.py FOLDER BATCH NETWORK… [--precision LIST]

FOLDER holds `step.py`, the peer of `tombola bench step`, and `record.py`, whose networks these are. A whole step as a graph is the fastest that
PyTorch has without another language, and what Tombola does too. Each row is printed when it is known.
"""

import argparse
import sys
import time

WARM_UP = 5
STEPS = 40
ROUNDS = 3


def rate(torch, run, batch):
    """Images a second of the fastest of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(STEPS):
            run()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begun) / STEPS)
    return batch / best


def captured(torch, step):
    """The step as a graph: warmed up on another stream, as PyTorch's documentation asks."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("batch", type=int)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--precision", default="fp32,tf32,bf16")
    asked = parser.parse_args()
    sys.path.insert(0, asked.folder)
    import step as peer
    import torch

    if not torch.cuda.is_available():
        sys.exit("error: this Python's torch finds no GPU")
    # As `torch.backends.cudnn.benchmark` of most training scripts: measured once, then the fastest convolution.
    torch.backends.cudnn.benchmark = True
    for network in asked.networks:
        for precision in asked.precision.split(","):
            step = peer.prepare("cuda", asked.batch, network, 20, precision, "channels-last", "eager")
            for _ in range(WARM_UP):
                step()
            row = f"{network} {precision}, batch {asked.batch}: PyTorch eager {rate(torch, step, asked.batch):.0f} images/s"
            try:
                row += f", as a graph {rate(torch, captured(torch, step), asked.batch):.0f} images/s"
            except RuntimeError as error:
                row += f", as a graph: {str(error).splitlines()[0]}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
