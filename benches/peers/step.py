"""The peer of `benches/step.rs`: one training step of ResNet-20 in PyTorch eager, as anybody would write it.

It talks over its standard streams. First it says `ready VERSION`; then each line `LAYOUT STEPS` that it reads
(`contiguous` or `channels-last`) is answered by the milliseconds of each step. It ends with its input.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "reference"))

try:
    import torch
    from record import ResNet
except ImportError as error:
    sys.exit(f"cannot be used: {error}")

BATCH, RATE = 64, 0.1


def prepare(memory_format):
    """A function that takes one step."""
    network = ResNet(3, 20, 16, "A").to(memory_format=memory_format).train()
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images = torch.randn(BATCH, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(10, (BATCH,))

    def step():
        optimizer.zero_grad()
        loss(network(images), labels).backward()
        optimizer.step()

    return step


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    steps = {"contiguous": prepare(torch.contiguous_format), "channels-last": prepare(torch.channels_last)}
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        layout, count = line.split()
        times = []
        for _ in range(int(count)):
            begun = time.perf_counter()
            steps[layout]()
            times.append((time.perf_counter() - begun) * 1000)
        print(*times, flush=True)


if __name__ == "__main__":
    main()
