"""The peer of `src/torch/bench/step.rs`: one training step in PyTorch, as an expert writes it.

It talks over its standard streams. First it says `ready VERSION`; then each line
`NETWORK DEPTH PRECISION LAYOUT MODE STEPS` that it reads (`resnet`, `resnetb`, `vgg-16` or `resnet-18`; `fp32`, `bf16` or
`tf32`; `contiguous` or `channels-last`; `eager` or `compiled`) is answered by the seconds of each step. It ends with its
input.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "crates" / "train" / "tests" / "reference"))

try:
    import torch
    from record import BasicBlock, PreResNet, ResNet
    from torch import nn
except ImportError as error:
    sys.exit(f"cannot be used: {error}")

RATE = 0.1


class ResNet18(nn.Module):
    """He et al. 2016, table 1, for small images: a 3x3 convolution without pooling at the start."""

    def __init__(self):
        super().__init__()
        layers, inputs = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
        for out in (64, 128, 256, 512):
            layers += [BasicBlock(inputs, out, 1 if out == 64 else 2, "B"), BasicBlock(out, out, 1, "B")]
            inputs = out
        self.layers, self.fc = nn.Sequential(*layers), nn.Linear(512, 10)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


class Vgg16(nn.Module):
    """Simonyan and Zisserman 2015, column D, with batch norms, for small images: the mean, then one layer."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for out, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                layers += [nn.Conv2d(inputs, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
                inputs = out
            layers.append(nn.MaxPool2d(2))
        self.layers, self.fc = nn.Sequential(*layers[:-1]), nn.Linear(512, 10)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


NETWORKS = {
    "resnet": lambda depth: ResNet(3, depth, 16, "A"),
    "resnetb": lambda depth: PreResNet(3, depth, 16),
    "vgg-16": lambda depth: Vgg16(),
    "resnet-18": lambda depth: ResNet18(),
}


def prepare(device, batch, network, depth, precision, layout, mode):
    """A function that takes one step."""
    memory_format = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}[layout]
    network = NETWORKS[network](int(depth)).to(device, memory_format=memory_format).train()
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images = torch.randn(batch, 3, 32, 32).to(device, memory_format=memory_format)
    labels = torch.randint(10, (batch,)).to(device)
    # On a GPU the compiled form is also a CUDA graph.
    options = {"mode": "reduce-overhead"} if device == "cuda" else {}
    run = torch.compile(network, **options) if mode == "compiled" else network
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"

    def step():
        optimizer.zero_grad()
        # Float32 weights, convolutions and linear layers in bfloat16: how PyTorch's documentation does it.
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            scores = run(images)
        loss(scores.float(), labels).backward()
        optimizer.step()

    return step


def timed(step, count, device):
    """Seconds of each step; a GPU is not waited for between them, so that each is said to take the mean."""
    if device == "cuda":
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        return [(time.perf_counter() - begun) / count] * count
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    print("ready", torch.__version__, flush=True)
    known = {}
    for line in sys.stdin:
        *config, count = line.split()
        step = known.get(tuple(config)) or known.setdefault(tuple(config), prepare(arguments.device, arguments.batch, *config))
        print(*timed(step, int(count), arguments.device), flush=True)


if __name__ == "__main__":
    main()
