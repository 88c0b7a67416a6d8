"""The built-in networks in PyTorch, for `tests/train/counterparts.rs` to compare with: torchvision's and timm's where they have
them, else written from the papers. The names of the parameters are the same on both sides.

    counterparts.py FOLDER NAME:DEPTH:WIDTH:SHORTCUT:SIZE…

writes into FOLDER, for each network and images of 3 x SIZE x SIZE, `NUMBER.safetensors`: scores in evaluation and in training,
the loss of a batch, all gradients and running statistics of a float64 run, rounded to float32. Nothing is left out at random.
`rounding` is how far the scores in training of PyTorch's own float32 run are from those, `rounding of gradients` its gradients.
"""

import collections
import pathlib
import sys

import safetensors.torch
import timm.models.vision_transformer
import torch
import torch.nn.functional as F
import torchvision.models as vision
from torch import nn

import record

# Images of a pass.
BATCH = 4


class Mlp(nn.Sequential):
    def __init__(self, *sizes):
        layers = collections.OrderedDict(flatten=nn.Flatten())
        for number, (inputs, out) in enumerate(zip(sizes, sizes[1:]), 1):
            layers[f"fc{number}"] = nn.Linear(inputs, out)
            if number < len(sizes) - 1:
                layers[f"relu{number}"] = nn.ReLU()
        super().__init__(layers)


class Conv(nn.Module):
    """Conv-2, Conv-4 and Conv-6 (Frankle and Carbin 2019, figure 2)."""

    def __init__(self, layers, size):
        super().__init__()
        features, inputs = [], 3
        for out in [64, 128, 256][: layers // 2]:
            features += [nn.Conv2d(inputs, out, 3, padding=1), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1), nn.ReLU()]
            features.append(nn.MaxPool2d(2))
            inputs, size = out, size // 2
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * size**2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Vgg(nn.Module):
    """torchvision's convolutions, of which the last pooling is left out; the mean, then one layer."""

    def __init__(self, name, norms):
        super().__init__()
        self.features = getattr(vision, name + ("_bn" if norms else ""))().features[:-1]
        if norms:
            for module in self.features:
                if isinstance(module, nn.Conv2d):
                    module.bias = None
        self.classifier = nn.Linear(512, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class WideBlock(nn.Module):
    """Zagoruyko and Komodakis 2016, figure 1c."""

    def __init__(self, inputs, out, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, out, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.convShortcut = nn.Conv2d(inputs, out, 1, stride, bias=False) if inputs != out else None

    def forward(self, x):
        active = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class WideStage(nn.Module):
    def __init__(self, blocks, inputs, out, stride):
        super().__init__()
        first = WideBlock(inputs, out, stride)
        self.layer = nn.Sequential(first, *(WideBlock(out, out, 1) for _ in range(blocks - 1)))

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks, inputs = (depth - 4) // 6, 16
        for stage in range(3):
            out = 16 * width * 2**stage
            setattr(self, f"block{stage + 1}", WideStage(blocks, inputs, out, 2 if stage else 1))
            inputs = out
        self.bn1 = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


def resnet(name, size):
    network = getattr(vision, name)(num_classes=10)
    if size < 64:
        network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        network.maxpool = nn.Identity()
    return network


def densenet(depth, growth):
    layers = (depth - 4) // 6
    network = vision.DenseNet(growth, (layers,) * 3, 2 * growth, num_classes=10)
    network.features.conv0 = nn.Conv2d(3, 2 * growth, 3, 1, 1, bias=False)
    for name in ("norm0", "relu0", "pool0"):
        delattr(network.features, name)
    return network


def mobilenet(size):
    network = vision.mobilenet_v2(num_classes=10, dropout=0.0)
    if size < 64:
        network.features[0][0].stride = network.features[2].conv[1][0].stride = (1, 1)
    return network


def alexnet(size):
    network = vision.AlexNet(num_classes=10, dropout=0.0)
    if size < 64:
        network.features[0] = nn.Conv2d(3, 64, 3, 2, 1)
        network.features[3] = nn.Conv2d(64, 192, 3, 1, 1)
        for place in (2, 5, 12):
            network.features[place] = nn.MaxPool2d(2)
        network.avgpool = nn.Identity()
        network.classifier[1] = nn.Linear(256 * (size // 16) ** 2, 4096)
    return network


def convnext(depth, width, size):
    n = depth // 6
    setting = [
        vision.convnext.CNBlockConfig(width << stage, width << stage + 1 if stage < 3 else None, blocks)
        for stage, blocks in enumerate([n, n, 3 * n, n])
    ]
    network = vision.ConvNeXt(setting, stochastic_depth_prob=0.0, num_classes=10)
    if size < 64:
        network.features[0][0] = nn.Conv2d(3, width, 2, 2)
    return network


def vit(depth, width, size):
    patch, heads = (16 if size >= 64 else 4), max(1, width // 64)
    return timm.models.vision_transformer.VisionTransformer(
        size, patch, num_classes=10, embed_dim=width, depth=depth, num_heads=heads
    )


def build(name, depth, width, shortcut, size):
    kind, _, number = name.partition("-")
    if name == "lenet-300-100":
        return record.LeNet300(3, size)
    if name == "lenet-5":
        return record.LeNet5(3, size)
    if kind == "conv":
        return Conv(int(number), size)
    if kind == "vgg":
        return Vgg("vgg" + number.removesuffix("-plain"), "plain" not in number)
    if name == "resnet":
        return record.ResNet(3, depth, width, shortcut)
    if name == "resnetb":
        return record.PreResNet(3, depth, width)
    if kind == "resnet":
        return resnet("resnet" + number, size)
    return {
        "mlp": lambda: Mlp(3 * size**2, 300, 100, 10),
        "alexnet": lambda: alexnet(size),
        "resnext-50": lambda: resnet("resnext50_32x4d", size),
        "wide-resnet": lambda: WideResNet(depth, width),
        "densenet-bc": lambda: densenet(depth, width),
        "mobilenet-v2": lambda: mobilenet(size),
        "convnext": lambda: convnext(depth, width, size),
        "vit": lambda: vit(depth, width, size),
    }[name]()


def fill(network):
    """Gives every parameter and every running statistic its value."""
    learned = ("cls_token", "pos_embed", "layer_scale")
    norms = {name for name, module in network.named_modules() if "Norm" in type(module).__name__}
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if name.endswith("num_batches_tracked"):
                continue
            numbers = record.noise(name, *value.shape)
            if value.dim() > 1 and not name.endswith(learned):
                numbers = numbers * (6.0 / value[0].numel()) ** 0.5
            elif name.endswith("running_var") or (name.endswith("weight") and name.rpartition(".")[0] in norms):
                numbers = 1 + numbers / 4
            else:
                numbers = numbers / 8
            value.copy_(numbers)


def passes(network, images, statistics):
    """Scores in evaluation, then scores, loss, gradients and statistics of one training batch."""
    network.load_state_dict(statistics, strict=False)
    network.zero_grad()
    network.eval()
    with torch.no_grad():
        found = {"evaluation": network(images)}
    network.train()
    scores = network(images)
    loss = F.cross_entropy(scores, record.labels(BATCH))
    loss.backward()
    found |= {"training": scores.detach(), "loss": loss.detach().reshape(1)}
    found |= {f"gradient {name}": value.grad.clone() for name, value in network.named_parameters()}
    return found | {f"buffer {name}": value.clone() for name, value in network.named_buffers() if "running" in name}


def distance(found, exact, kind):
    """How far values of a float32 run are from those of float64, all tensors of a kind as one."""
    names = [name for name in exact if name.startswith(kind)]
    off = sum(((found[name].double() - exact[name]) ** 2).sum() for name in names)
    return float((off / sum((exact[name] ** 2).sum() for name in names)) ** 0.5)


def main(folder, cases):
    for number, case in enumerate(cases):
        name, depth, width, shortcut, size = case.split(":")
        network = build(name, int(depth), int(width), shortcut, int(size))
        fill(network)
        statistics = {key: value.clone() for key, value in network.named_buffers() if "running" in key}
        images = record.noise("counterparts", BATCH, 3, int(size), int(size))
        found = passes(network, images, statistics)
        exact = passes(network.double(), images.double(), statistics)
        kept = {key: value.float().contiguous() for key, value in exact.items()}
        kept["rounding"] = torch.tensor([distance(found, exact, "training")])
        kept["rounding of gradients"] = torch.tensor([distance(found, exact, "gradient")])
        safetensors.torch.save_file(kept, folder / f"{number}.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
