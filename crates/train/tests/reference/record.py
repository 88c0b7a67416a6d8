"""Records what PyTorch does, for `tests/train/reference.rs` to compare with.

Plain PyTorch 2.11.0, written from the papers and from PyTorch's documentation, not from Tombola's code; only the
names of the parameters are Tombola's. Run it as `python record.py`: it writes the files beside itself, the same
bytes every time on one machine.

All inputs come from `noise`, which the Rust test repeats, so that only results need to be kept. Where rounding
matters, the recorded value is that of a run in float64, and `rounding` says how far PyTorch's own float32 run was
from it: that is the measure for what Tombola's float32 run may be off by.
"""

import copy
import json
import math
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F
from torch import nn

HERE = pathlib.Path(__file__).parent
EXPECTED = "2.11.0"
# Entries kept of each tensor, evenly spaced.
ENTRIES = 12
# Images of a forward pass. Few and small, so that seldom an activation lies within rounding of a kink.
BATCH = 4


# ---- Inputs that both languages can make -----------------------------------------------------------------------------


def fnv(data):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (2**64 - 1)
    return value


def hashes(name, count):
    """`count` 64-bit hashes (splitmix64) of the stream `name`."""
    with numpy.errstate(over="ignore"):
        x = numpy.uint64(fnv(name.encode())) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(
            0x9E3779B97F4A7C15
        )
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return x ^ (x >> numpy.uint64(31))


def noise(name, *shape):
    """Even over [-1, 1) in steps of 2^-23: every value is exact in float32."""
    count = math.prod(shape)
    values = (hashes(name, count) >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(2**23) - numpy.float32(1)
    return torch.from_numpy(values).reshape(shape)


def labels(count):
    return torch.arange(count) * 7 % 10


def fill(network, salt=""):
    """Gives every parameter and every running statistic of a network its value, in float32."""
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith("num_batches_tracked"):
                continue
            numbers = noise(salt + name, *value.shape)
            if value.dim() > 1:
                bound = numpy.float32(math.sqrt(6.0 / math.prod(value.shape[1:])))
                numbers = numbers * torch.tensor(bound)
            elif name.endswith("running_var") or (name.endswith("weight") and name.rpartition(".")[0] in norms):
                numbers = 1 + numbers / 4
            else:
                numbers = numbers / 8
            value.copy_(numbers)
    return network


# ---- Networks --------------------------------------------------------------------------------------------------------


class LeNet300(nn.Module):
    """LeNet-300-100 (LeCun et al. 1998)."""

    def __init__(self, channels, size):
        super().__init__()
        self.fc1 = nn.Linear(channels * size * size, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class LeNet5(nn.Module):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling; the first convolution is padded by 2."""

    def __init__(self, channels, size):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        side = (size // 2 - 4) // 2
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Conv2(nn.Module):
    """Conv-2 (Frankle and Carbin 2019, figure 2)."""

    def __init__(self, channels, size):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Linear(64 * (size // 2) ** 2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Vgg11(nn.Module):
    """VGG-11 with batch norm (Simonyan and Zisserman 2015, column A) for small images: the mean, then one layer."""

    def __init__(self, channels, size):
        super().__init__()
        layers = []
        for out in [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512]:
            if out == "pool":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class BasicBlock(nn.Module):
    """He et al. 2016, "Deep Residual Learning", figure 2, with shortcut A or B of section 4.2."""

    def __init__(self, inputs, out, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.added = out - inputs
        if self.added and shortcut == "B":
            self.downsample = nn.Sequential(nn.Conv2d(inputs, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.added:
            half = self.added // 2
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.added - half))
        return F.relu(x + y)


class ResNet(nn.Module):
    """He et al. 2016, section 4.2: depth 6n+2."""

    def __init__(self, channels, depth, width, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for stage in range(3):
            blocks = []
            for block in range((depth - 2) // 6):
                out = width * 2**stage
                blocks.append(BasicBlock(inputs, out, 2 if stage > 0 and block == 0 else 1, shortcut))
                inputs = out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class Bottleneck(nn.Module):
    """He et al. 2016, "Identity Mappings", figure 4e with a bottleneck; the first of a stage has a 1x1 shortcut."""

    def __init__(self, inputs, inner, stride, first):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * inner, 1, stride, bias=False)) if first else nn.Identity()

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        y = self.conv3(F.relu(self.bn3(y)))
        return self.downsample(x) + y


class PreResNet(nn.Module):
    """Pre-activation bottleneck network, depth 9n+2."""

    def __init__(self, channels, depth, width):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        inputs = width
        for stage in range(3):
            blocks = []
            for block in range((depth - 2) // 9):
                inner = width * 2**stage
                blocks.append(Bottleneck(inputs, inner, 2 if stage > 0 and block == 0 else 1, block == 0))
                inputs = 4 * inner
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(F.relu(self.bn(x)).mean((2, 3)))


# Title: network, depth, width, shortcut, channels, size of the images.
NETWORKS = {
    "lenet-300-100": (LeNet300(1, 28), 20, 16, "A", 1, 28),
    "lenet-5": (LeNet5(1, 28), 20, 16, "A", 1, 28),
    "conv-2": (Conv2(3, 16), 20, 16, "A", 3, 16),
    "vgg-11": (Vgg11(3, 32), 20, 16, "A", 3, 32),
    "resnet 8 A": (ResNet(3, 8, 16, "A"), 8, 16, "A", 3, 16),
    "resnet 20 A": (ResNet(3, 20, 16, "A"), 20, 16, "A", 3, 16),
    "resnet 20 B": (ResNet(3, 20, 16, "B"), 20, 16, "B", 3, 16),
    # An odd number of added channels and of pixels: where option A can go wrong.
    "resnet 8 A, odd": (ResNet(3, 8, 5, "A"), 8, 5, "A", 3, 15),
    "resnetb 11": (PreResNet(3, 11, 16), 11, 16, "A", 3, 16),
    "resnetb 20": (PreResNet(3, 20, 16), 20, 16, "A", 3, 16),
}


# ---- Summaries -------------------------------------------------------------------------------------------------------


def short(value):
    """Ten digits: more than float32 has."""
    return float(f"{float(value):.10g}")


def summary(tensor):
    """Evenly spaced entries in PyTorch's order, the sum, the sum of squares and the largest size."""
    flat = tensor.detach().double().contiguous().flatten()
    places = [i * len(flat) // min(ENTRIES, len(flat)) for i in range(min(ENTRIES, len(flat)))]
    return {
        "entries": [short(flat[place]) for place in places],
        "sum": short(flat.sum()),
        "squares": short((flat**2).sum()),
        "largest": short(flat.abs().max()),
    }


def distance(found, exact):
    """How far float32 is from float64: the larger of the greatest and of the root-mean-square relative difference."""
    found, exact = found.detach().double(), exact.detach()
    if exact.abs().max() == 0:
        return float(found.abs().max())
    greatest = (found - exact).abs().max() / exact.abs().max()
    return float(max(greatest, (found - exact).norm() / exact.norm()))


def summaries(found, exact):
    """Summaries of all tensors of a float64 run, and the distance of the float32 run over all of them."""
    return {
        "tensors": {name: summary(value) for name, value in exact.items()},
        "rounding": max(distance(found[name], value) for name, value in exact.items()),
    }


# ---- 1. Forward pass, loss, statistics, gradients --------------------------------------------------------------------


def passes(network, images, targets):
    """Scores and loss in evaluation, then loss, gradients and statistics of one training batch."""
    network.eval()
    with torch.no_grad():
        scores = network(images)
        loss = F.cross_entropy(scores, targets)
    network.train()
    trained = network(images)
    trained_loss = F.cross_entropy(trained, targets)
    trained_loss.backward()
    return {
        "evaluation": {"scores": scores, "loss": loss.reshape(1)},
        "training": {"scores": trained.detach(), "loss": trained_loss.detach().reshape(1)},
        "gradients": {name: value.grad for name, value in network.named_parameters()},
        "statistics": {name: value for name, value in network.named_buffers() if "running" in name},
    }


# Largest distance of gradients that is still rounding.
SMOOTH = 5e-5


def smooth(network, images, targets, exact):
    """Whether gradients stay the same when the inputs are off by some rounding errors.

    Where they do not, a ReLU or a pooling is so close to choosing otherwise that a float32 run, on this machine or on
    another, may differ from float64 by far more than rounding.
    """
    for trial in range(8):
        shaken = copy.deepcopy(network)
        moved = images * (1 + noise(f"shake {trial}", *images.shape) * 1e-6)
        found = passes(shaken, moved, targets)["gradients"]
        if max(distance(found[name], value) for name, value in exact["gradients"].items()) > SMOOTH:
            return False
    return True


def record_networks():
    recorded = []
    for title, (network, depth, width, shortcut, channels, size) in NETWORKS.items():
        fill(network)
        targets = labels(BATCH)
        for attempt in range(100):
            stream = f"images {attempt}"
            images = noise(stream, BATCH, channels, size, size)
            exact = passes(copy.deepcopy(network).double(), images.double(), targets)
            if smooth(network, images, targets, exact):
                break
        found = passes(copy.deepcopy(network), images, targets)
        entry = {
            "title": title,
            "network": title.split()[0],
            "depth": depth,
            "width": width,
            "shortcut": shortcut,
            "image": [channels, size, size],
            "images": BATCH,
            "stream": stream,
            "parameters": {name: list(value.shape) for name, value in network.named_parameters()},
        }
        # A network without batch norm has no statistics.
        entry |= {part: summaries(found[part], exact[part]) for part in exact if exact[part]}
        assert entry["gradients"]["rounding"] < SMOOTH, f"{title}: {entry['gradients']['rounding']}"
        recorded.append(entry)
        print(title, attempt, {part: f"{entry[part]['rounding']:.1e}" for part in exact if exact[part]})
    return recorded


# ---- 2. Optimisers ---------------------------------------------------------------------------------------------------

STEPS = 5
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.05}),
    "sgd with weight decay": (torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.01}),
    "sgd with momentum": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}),
    "sgd with nesterov": (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.002}),
    "adam with weight decay": (torch.optim.Adam, {"lr": 0.002, "weight_decay": 0.01, "betas": (0.8, 0.99)}),
    "adamw": (torch.optim.AdamW, {"lr": 0.002, "weight_decay": 0.1}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0, "weight_decay": 0.01}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.001, "weight_decay": 0.01}),
}


def train(optimizer, options, masked, kind, stream):
    """Five steps of LeNet-5 on images of 12x12, another batch of 16 each."""
    network = fill(LeNet5(1, 12)).to(kind)
    masks = {}
    if masked:
        for name, value in network.named_parameters():
            if value.dim() > 1:
                bits = (hashes("mask " + name, value.numel()) & numpy.uint64(1)).astype(numpy.float32)
                masks[name] = torch.from_numpy(bits).reshape(value.shape).to(kind)
    apply = lambda: [value.data.mul_(masks[name]) for name, value in network.named_parameters() if name in masks]
    apply()
    optimizer = optimizer(network.parameters(), **options)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(noise(f"{stream} {step}", 16, 1, 12, 12).to(kind)), labels(16))
        loss.backward()
        for name, value in network.named_parameters():
            if name in masks:
                value.grad.mul_(masks[name])
        optimizer.step()
        apply()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses)} | {name: value.detach() for name, value in network.named_parameters()}


def record_optimizers():
    recorded = []
    for title, (optimizer, options) in OPTIMIZERS.items():
        for masked in [False, True]:
            # Adam and its kin divide by the size of the gradient: where that is almost 0, rounding decides the step.
            for attempt in range(100):
                stream = f"batch {attempt}"
                exact = train(optimizer, options, masked, torch.float64, stream)
                result = summaries(train(optimizer, options, masked, torch.float32, stream), exact)
                if result["rounding"] < SMOOTH / 10:
                    break
            entry = {"title": title, "optimizer": title.split()[0], "options": options, "masked": masked}
            recorded.append(entry | {"stream": stream, "steps": STEPS} | result)
            print(title, masked, attempt, f"{result['rounding']:.1e}")
    return recorded


# ---- 3. Learning rates -----------------------------------------------------------------------------------------------

EPOCHS, STEPS_OF_EPOCH, RATE = 40, 3, 0.2


def record_schedules():
    torch_schedulers = torch.optim.lr_scheduler
    # A loss that falls, stalls, jumps and falls again.
    losses = [short(1 / (1 + min(epoch, 12)) + (0.3 if epoch == 25 else 0) - 0.02 * (epoch > 30)) for epoch in range(EPOCHS)]
    chosen = {
        "manual": (torch_schedulers.MultiStepLR, {"milestones": [10, 11, 25], "gamma": 0.3}),
        "step": (torch_schedulers.StepLR, {"step_size": 7, "gamma": 0.5}),
        "plateau": (
            torch_schedulers.ReduceLROnPlateau,
            {"mode": "min", "factor": 0.4, "patience": 3, "min_lr": 0.01},
        ),
        "cosine": (torch_schedulers.CosineAnnealingLR, {"T_max": EPOCHS, "eta_min": 0.01}),
        "cosine-restarts": (
            torch_schedulers.CosineAnnealingWarmRestarts,
            {"T_0": 5, "T_mult": 2, "eta_min": 0.01},
        ),
        # Half a cycle of 4.5 steps: the tip lies between two steps.
        "cyclic": (
            torch_schedulers.CyclicLR,
            {"base_lr": 0.01, "max_lr": RATE, "step_size_up": 4.5, "mode": "triangular", "cycle_momentum": False},
        ),
    }
    recorded = []
    for title, (scheduler, options) in chosen.items():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=RATE)
        scheduler = scheduler(optimizer, **options)
        rates = []
        for epoch in range(EPOCHS):
            for _ in range(STEPS_OF_EPOCH):
                rates.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                if title == "cyclic":
                    scheduler.step()
            if title == "plateau":
                scheduler.step(losses[epoch])
            elif title != "cyclic":
                scheduler.step()
        recorded.append({"schedule": title, "options": options, "rates": rates})
    return {"rate": RATE, "epochs": EPOCHS, "steps": STEPS_OF_EPOCH, "losses": losses, "schedules": recorded}


# ---- 4. Masks --------------------------------------------------------------------------------------------------------


def stored(tensor):
    """Flat, in the order in which Tombola counts positions: convolutions as [out, kernel, kernel, in]."""
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).contiguous().flatten()


def in_pytorch_order(flat, like):
    """Undoes `stored`."""
    if like.dim() == 4:
        out, inputs, height, width = like.shape
        return flat.reshape(out, height, width, inputs).permute(0, 3, 1, 2).contiguous()
    return flat.reshape(like.shape)


def prune(scores, alive, rate):
    """Prunes round(rate * alive) of the alive weights: the lowest scores, of equal ones the first."""
    count = math.floor(rate * int(alive.sum()) + 0.5)
    order = torch.sort(torch.where(alive, scores, torch.inf), stable=True).indices
    alive = alive.clone()
    alive[order[:count]] = False
    return alive


def draw(weights, alive, rate, scope, layers, output_rate):
    names = [name for name, value in weights.items() if value.dim() == 4 or layers == "all"]
    last = list(weights)[-1]
    together = [name for name in names if output_rate == 1 or name != last]
    groups = [[name] for name in names] if scope == "layer" else [together] + [[n] for n in names if n not in together]
    after = dict(alive)
    for group in groups:
        own_rate = rate * output_rate if group == [last] and output_rate != 1 else rate
        scores = torch.cat([stored(weights[name].abs()) for name in group])
        kept = prune(scores, torch.cat([stored(alive[name]) for name in group]), own_rate)
        for name, part in zip(group, kept.split([weights[name].numel() for name in group])):
            after[name] = in_pytorch_order(part, weights[name])
    return after


def record_masks():
    network = ResNet(3, 8, 4, "B")
    levels = [fill(copy.deepcopy(network), salt) for salt in ["", "second "]]
    levels = [{n: v.detach() for n, v in level.named_parameters() if v.dim() > 1} for level in levels]
    # Eighths: thousands of equal weights, hundreds of zeros.
    coarse = [{name: torch.round(value * 8) / 8 for name, value in level.items()} for level in levels]
    recorded = []
    cases = [(scope, "all", 1.0, rate) for scope in ["global", "layer"] for rate in [0.013, 0.2, 0.5, 0.75, 0.97]]
    cases += [("global", "conv", 1.0, 0.4), ("global", "all", 0.5, 0.4), ("layer", "all", 0.5, 0.4), ("global", "all", 0.0, 0.4)]
    for ties, weights in [(False, levels), (True, coarse)]:
        for scope, layers, output_rate, rate in cases:
            alive = {name: torch.ones(value.shape, dtype=torch.bool) for name, value in weights[0].items()}
            masks = []
            for level in weights:
                alive = draw(level, alive, rate, scope, layers, output_rate)
                masks.append(
                    {
                        name: {
                            "alive": int(mask.sum()),
                            "hash": f"{fnv(numpy.packbits(mask.numpy().flatten(), bitorder='little').tobytes()):016x}",
                        }
                        for name, mask in alive.items()
                    }
                )
            entry = {"ties": ties, "scope": scope, "layers": layers, "output_rate": output_rate, "rate": rate}
            recorded.append(entry | {"levels": masks})
    return recorded


# ---- 5. A trained snapshot -------------------------------------------------------------------------------------------


def synthetic(part, count, size):
    """Bytes [count, size, size] and labels: the pattern of the class plus noise."""
    patterns = (hashes("patterns", 10 * size * size) % numpy.uint64(PATTERN)).reshape(10, size, size)
    grain = (hashes(part, count * size * size) % numpy.uint64(256 - PATTERN)).reshape(count, size, size)
    classes = labels(count)
    return torch.from_numpy((patterns[classes.numpy()] + grain).astype(numpy.uint8)), classes


# The larger part of the 256 grey levels is noise, so that the network makes some mistakes.
PATTERN = 96


def record_snapshot():
    torch.manual_seed(1)
    network = ResNet(1, 8, 4, "B")
    (images, targets), (held_out, truth) = synthetic("training", 2000, 12), synthetic("test", 1000, 12)
    normalised = lambda bytes: (bytes.unsqueeze(1).float() / 255 - 0.5) / 0.25
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for _ in range(4):
        for chosen in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(normalised(images[chosen])), targets[chosen]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        scores = network(normalised(held_out))
        exact = copy.deepcopy(network).double()(normalised(held_out).double())
    correct = int((scores.argmax(1) == truth).sum())
    best = exact.topk(2, 1).values
    margin = float((best[:, 0] - best[:, 1]).min())
    error = float((scores - exact).abs().max())
    assert margin > 20 * error, f"an image is too close to call: {margin} against a rounding of {error}"
    assert correct == int((exact.argmax(1) == truth).sum()) and 600 < correct < 990, correct
    write_safetensors(HERE / "resnet-8.safetensors", network.state_dict())
    print("snapshot", correct, "correct, margin", margin, "rounding", error)
    return {"correct": correct, "images": len(truth), "loss": short(F.cross_entropy(exact, truth)), "pattern": PATTERN}


def write_safetensors(path, state):
    """Header length, JSON header, values: https://huggingface.co/docs/safetensors, format description."""
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    header, body = {}, b""
    for name, value in state.items():
        values = value.contiguous().numpy().tobytes()
        header[name] = {
            "dtype": kinds[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(values)],
        }
        body += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


# ---- 6. Half precision -----------------------------------------------------------------------------------------------


def record_precision():
    """Loss under autocast to bfloat16, and how far all gradients together are from those in float32."""
    recorded = []
    for name, network, depth, width, shortcut in [
        ("resnet", ResNet(3, 8, 4, "B"), 8, 4, "B"),
        ("resnetb", PreResNet(3, 11, 4), 11, 4, "A"),
        ("resnet", ResNet(3, 20, 16, "A"), 20, 16, "A"),
    ]:
        fill(network)
        images = noise("half images", 64, 3, 16, 16).contiguous(memory_format=torch.channels_last)
        gradients, losses = [], []
        for half in [False, True]:
            own = copy.deepcopy(network).train()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                scores = own(images)
            loss = F.cross_entropy(scores.float(), labels(64))
            loss.backward()
            losses.append(float(loss.detach()))
            gradients.append(torch.cat([parameter.grad.flatten() for parameter in own.parameters()]))
        error = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
        entry = {"network": name, "depth": depth, "width": width, "shortcut": shortcut}
        recorded.append(entry | {"loss": short(losses[1]), "exact_loss": short(losses[0]), "gradient_error": short(error)})
    return recorded


# ----------------------------------------------------------------------------------------------------------------------


def prepare():
    """Refuses another version of PyTorch, and makes this one repeat itself."""
    found = torch.__version__.partition("+")[0]
    if found != EXPECTED:
        raise SystemExit(f"torch is {found}, expected {EXPECTED}: install it, or change `EXPECTED` and the README together")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def write(name, value):
    """One entry a line: small, and a change is seen in a diff."""
    lines = ",\n".join(json.dumps(entry) for entry in value) if isinstance(value, list) else json.dumps(value)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n" if isinstance(value, list) else f"{lines}\n")


def main():
    prepare()
    for name, record in [
        ("networks", record_networks),
        ("optimizers", record_optimizers),
        ("schedules", record_schedules),
        ("masks", record_masks),
        ("snapshot", record_snapshot),
        ("precision", record_precision),
    ]:
        write(name, record())


if __name__ == "__main__":
    main()
