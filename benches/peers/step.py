"""The peer of `benches/step.rs`: one training step in PyTorch, as an expert writes it.

It talks over its standard streams. First it says `ready VERSION`; then each line `NETWORK PRECISION LAYOUT MODE STEPS` that it
reads (`resnet` or `resnetb`, `fp32` or `bf16`, `contiguous` or `channels-last`, `eager` or `compiled`) is answered by the
milliseconds of each step. It ends with its input.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "reference"))

try:
    import torch
    from record import PreResNet, ResNet
except ImportError as error:
    sys.exit(f"cannot be used: {error}")

BATCH, RATE = 64, 0.1
NETWORKS = {"resnet": lambda: ResNet(3, 20, 16, "A"), "resnetb": lambda: PreResNet(3, 20, 16)}


def prepare(network, precision, layout, mode):
    """A function that takes one step."""
    memory_format = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}[layout]
    network = NETWORKS[network]().to(memory_format=memory_format).train()
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images = torch.randn(BATCH, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(10, (BATCH,))
    run = torch.compile(network) if mode == "compiled" else network

    def step():
        optimizer.zero_grad()
        # Float32 weights, convolutions and linear layers in bfloat16: how PyTorch's documentation does it.
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            scores = run(images)
        loss(scores.float(), labels).backward()
        optimizer.step()

    return step


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print("ready", torch.__version__, flush=True)
    known = {}
    for line in sys.stdin:
        *config, count = line.split()
        step = known.get(tuple(config)) or known.setdefault(tuple(config), prepare(*config))
        times = []
        for _ in range(int(count)):
            begun = time.perf_counter()
            step()
            times.append(1000 * (time.perf_counter() - begun))
        print(*times, flush=True)


if __name__ == "__main__":
    main()
