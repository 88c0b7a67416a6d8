"""The peers of `src/torch/bench/whole.rs`: the trials of `sweep.toml` in PyTorch.

`script` is how loose scripts do it: a DataLoader with workers and transforms image by image, float32, eager, all cores on one
training after the other, the dense network taken from its checkpoint. `tuned` is what an expert would write: data in memory
as tensors, augmentation by the batch, channels-last, bfloat16 by autocast, the optimiser of one kernel, one process a core, if
wanted compiled. Both remove the channels of experiment 3 for real, and both count as Tombola does: the images behind the
validation set are not trained on, and the test set is evaluated after each epoch.

Prints a line of JSON: seconds, epochs, images trained a second, and the count of correct test images at the end of each trial.
"""

import argparse
import copy
import itertools
import json
import os
import pathlib
import sys
import time
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "crates" / "train" / "tests" / "reference"))

try:
    import torch
    import torch.nn.functional as F
    from record import PreResNet
    from torch import nn
except ImportError as error:
    sys.exit(f"cannot be used: {error}")

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
EVALUATED_AT_ONCE = 250


# ---- The sweep ---------------------------------------------------------------------------------------------------------


def trials(text):
    """Every combination of each grid block, over the settings they share."""
    shared = tomllib.loads(text)
    blocks = shared.pop("grid")
    found = []
    for block in blocks:
        settings = {"prune-iterations": 1, "draw": "last", "pruning-type": "unstructured"} | shared | block
        lists = [key for key, value in settings.items() if isinstance(value, list) and key != "lr-milestones"]
        for values in itertools.product(*(settings[key] for key in lists)):
            found.append(settings | dict(zip(lists, values, strict=True)))
    return found


# ---- Networks and masks ------------------------------------------------------------------------------------------------


def prunable(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def magnitude_masks(network, masks, rate):
    """One threshold for all convolutions; what is gone stays gone."""
    weights = [module.weight.detach() for module in prunable(network)]
    masks = masks or [torch.ones_like(weight) for weight in weights]
    alive = torch.cat([weight.abs()[mask > 0] for weight, mask in zip(weights, masks, strict=True)])
    count = round(rate * alive.numel())
    threshold = alive.kthvalue(count).values if count else -1.0
    return [((weight.abs() > threshold) & (mask > 0)).float() for weight, mask in zip(weights, masks, strict=True)]


def without_channels(network, ratio):
    """A smaller network of the channels inside blocks with the largest batch-norm scales; at least one of each layer."""
    blocks = [block for layer in (network.layer1, network.layer2, network.layer3) for block in layer]
    norms = [norm for block in blocks for norm in (block.bn2, block.bn3)]
    scales = torch.cat([norm.weight.detach().abs() for norm in norms])
    threshold = scales.kthvalue(round(ratio * scales.numel())).values
    small = copy.deepcopy(network)
    for block, old in zip((b for layer in (small.layer1, small.layer2, small.layer3) for b in layer), blocks, strict=True):
        kept = []
        for norm in (old.bn2, old.bn3):
            alive = (norm.weight.detach().abs() > threshold).nonzero().flatten()
            kept.append(alive if alive.numel() else norm.weight.detach().abs().argmax().reshape(1))
        block.conv1 = narrow(old.conv1, kept[0], None)
        block.bn2 = narrow_norm(old.bn2, kept[0])
        block.conv2 = narrow(old.conv2, kept[1], kept[0])
        block.bn3 = narrow_norm(old.bn3, kept[1])
        block.conv3 = narrow(old.conv3, None, kept[1])
    return small


def narrow(old, outputs, inputs):
    weight = old.weight.detach()
    weight = weight if outputs is None else weight[outputs]
    weight = weight if inputs is None else weight[:, inputs]
    new = nn.Conv2d(weight.shape[1], weight.shape[0], old.kernel_size, old.stride, old.padding, bias=False)
    new.weight.data = weight.clone()
    return new


def narrow_norm(old, kept):
    new = nn.BatchNorm2d(kept.numel())
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(new, name).data = getattr(old, name).detach()[kept].clone()
    return new


# ---- The two ways to feed and train a network -----------------------------------------------------------------------------


def read(folder, files, limit=None):
    """Images of the binary version of CIFAR-10 as bytes [N, 3, 32, 32], and labels."""
    data = b"".join((pathlib.Path(folder) / file).read_bytes() for file in files)
    records = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, 1 + 3 * 32 * 32)[:limit]
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()


def sets(folder, settings):
    train = read(folder, [f"data_batch_{number}.bin" for number in range(1, 6)], settings["train-limit"])
    kept = settings["train-limit"] - settings["validation-size"]
    return (train[0][:kept], train[1][:kept]), read(folder, ["test_batch.bin"])


class Script:
    """As scripts do it."""

    def __init__(self, folder, settings):
        from PIL import Image
        from torchvision import transforms

        class Pictures(torch.utils.data.Dataset):
            def __init__(self, images, labels, transform):
                self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels.tolist()
                self.transform = transform

            def __len__(self):
                return len(self.labels)

            def __getitem__(self, index):
                return self.transform(Image.fromarray(self.images[index])), self.labels[index]

        end = [transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)]
        varied = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *end]
        train, test = sets(folder, settings)
        loader, workers = torch.utils.data.DataLoader, os.cpu_count()
        batch = settings["batch-size"]
        self.train = loader(Pictures(*train, transforms.Compose(varied)), batch, shuffle=True, num_workers=workers)
        self.test = loader(Pictures(*test, transforms.Compose(end)), batch, num_workers=workers)

    def optimizer(self, network, settings):
        return optimizer(network, settings, fused=False)

    def prepare(self, network):
        return network, network

    def epoch(self, run, network, optimizer, masks):
        loss_of = nn.CrossEntropyLoss()
        seen = correct = total = 0
        for images, labels in self.train:
            scores = run(images)
            loss = loss_of(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            hide(network, masks)
            # Scripts show a running mean.
            total += loss.item() * len(labels)
            correct += (scores.argmax(1) == labels).sum().item()
            seen += len(labels)

    def accuracy(self, run):
        with torch.no_grad():
            return sum((run(images).argmax(1) == labels).sum().item() for images, labels in self.test)


class Tuned:
    """As an expert does it."""

    def __init__(self, folder, settings, compiled):
        (images, labels), test = sets(folder, settings)
        self.padded = F.pad(self.normal(images), (4, 4, 4, 4)).contiguous(memory_format=torch.channels_last)
        self.labels, self.batch, self.compiled = labels, settings["batch-size"], compiled
        self.test = (self.normal(test[0]).contiguous(memory_format=torch.channels_last), test[1])

    @staticmethod
    def normal(images):
        mean, deviation = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, DEVIATION))
        return (images.float() / 255 - mean) / deviation

    def optimizer(self, network, settings):
        return optimizer(network, settings, fused=True)

    def prepare(self, network):
        network = network.to(memory_format=torch.channels_last)
        return network, torch.compile(network) if self.compiled else network

    def varied(self, indices):
        """Random crops and flips of a batch, channels-last: three gathers in one."""
        count, side = indices.numel(), torch.arange(32)
        top, left = torch.randint(9, (2, count))
        flipped = torch.rand(count) < 0.5
        rows = top[:, None] + side
        columns = left[:, None] + torch.where(flipped[:, None], 31 - side, side)
        pixels = self.padded.permute(0, 2, 3, 1)[indices[:, None, None], rows[:, :, None], columns[:, None, :]]
        return pixels.permute(0, 3, 1, 2)

    def epoch(self, run, network, optimizer, masks):
        loss_of = nn.CrossEntropyLoss()
        for indices in torch.randperm(len(self.labels)).split(self.batch):
            with torch.autocast("cpu", torch.bfloat16):
                scores = run(self.varied(indices))
            optimizer.zero_grad()
            loss_of(scores.float(), self.labels[indices]).backward()
            optimizer.step()
            hide(network, masks)

    def accuracy(self, run):
        images, labels = self.test
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            scores = torch.cat([run(part) for part in images.split(EVALUATED_AT_ONCE)])
        return (scores.argmax(1) == labels).sum().item()


def optimizer(network, settings, fused):
    return torch.optim.SGD(
        network.parameters(),
        settings["learning-rate"],
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=settings["weight-decay"],
        fused=fused,
    )


@torch.no_grad()
def hide(network, masks):
    if masks:
        torch._foreach_mul_([module.weight for module in prunable(network)], masks)


def train(way, network, settings, masks=None, keep=None):
    """Trains and evaluates each epoch. `keep` takes the network after each epoch. Returns the last count of correct images."""
    network, run = way.prepare(network)
    with torch.no_grad():
        hide(network, masks)
    steps = way.optimizer(network, settings)
    schedule = torch.optim.lr_scheduler.MultiStepLR(steps, settings["lr-milestones"], settings["gamma"])
    for epoch in range(settings["epochs"]):
        run.train()
        way.epoch(run, network, steps, masks)
        schedule.step()
        run.eval()
        correct = way.accuracy(run)
        if keep:
            keep(epoch + 1, network)
    return network, correct


# ---- Trials ------------------------------------------------------------------------------------------------------------


def checkpoint(folder, seed, epoch):
    return folder / f"dense-{seed}-{epoch}.pth"


def dense(way, settings, folder):
    torch.manual_seed(settings["seed"])
    network = PreResNet(3, settings["depth"], 16)
    # As Tombola does (He et al. 2015): with PyTorch's own, smaller weights the first epochs are others.
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    nn.init.zeros_(network.fc.bias)

    def keep(epoch, network):
        torch.save(network.state_dict(), checkpoint(folder, settings["seed"], epoch))

    keep(0, network)
    return train(way, network, settings, keep=keep)[1]


def load(settings, folder, epoch):
    network = PreResNet(3, settings["depth"], 16)
    network.load_state_dict(torch.load(checkpoint(folder, settings["seed"], epoch)))
    return network


def ticket(way, settings, folder):
    """The trainings of one trial after its dense one; returns the last count of correct images."""
    torch.manual_seed(settings["seed"])
    draw = settings["epochs"] if settings["draw"] == "last" else int(settings["draw"].removeprefix("epoch:"))
    network = load(settings, folder, draw)
    if settings["pruning-type"] == "structured":
        return train(way, without_channels(network, settings["pruning-ratio"]), settings)[1]
    rate = 1 - (1 - settings["pruning-ratio"]) ** (1 / settings["prune-iterations"])
    masks = None
    for _ in range(settings["prune-iterations"]):
        masks = magnitude_masks(network, masks, rate)
        if settings["reinit"] == "init":
            network = load(settings, folder, 0)
        network, correct = train(way, network, settings, masks)
    return correct


WAY = None


def start_worker(folder, settings, compiled):
    global WAY
    torch.set_num_threads(1)
    WAY = Tuned(folder, settings, compiled)


def work(task, settings, folder):
    return task(WAY, settings, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["script", "tuned"])
    parser.add_argument("data", help="folder of CIFAR-10, binary version")
    parser.add_argument("checkpoints", type=pathlib.Path, help="an empty folder")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--pipeline", type=int, help="train the first dense network alone, for so many epochs")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    tickets = trials((pathlib.Path(__file__).parent / "sweep.toml").read_text())
    if arguments.pipeline:
        for settings in tickets:
            settings |= {"epochs": arguments.pipeline, "prune-iterations": 0}
        tickets = tickets[:1]
    roots = list({settings["seed"]: settings for settings in tickets}.values())
    if arguments.way == "script":
        way = Script(arguments.data, tickets[0])
        prepared = time.perf_counter()
        for settings in roots:
            dense(way, settings, arguments.checkpoints)
        trained = [] if arguments.pipeline else tickets
        found = [ticket(way, settings, arguments.checkpoints) for settings in trained]
    else:
        # The longest first, so that no core waits long for the other at the end.
        prepared = time.perf_counter()
        order = sorted(range(len(tickets)), key=lambda index: -tickets[index]["prune-iterations"])
        start = (arguments.data, tickets[0], arguments.compiled)
        with torch.multiprocessing.get_context("spawn").Pool(os.cpu_count(), start_worker, start) as pool:
            pool.starmap(work, [(dense, settings, arguments.checkpoints) for settings in roots], 1)
            answers = pool.starmap(work, [(ticket, tickets[index], arguments.checkpoints) for index in order], 1)
        found = [answer for _, answer in sorted(zip(order, answers, strict=True))]
    trainings = len(roots) + sum(settings["prune-iterations"] for settings in tickets)
    epochs = trainings * tickets[0]["epochs"]
    images = epochs * (tickets[0]["train-limit"] - tickets[0]["validation-size"])
    answer = {
        "seconds": time.perf_counter() - begun,
        "epochs": epochs,
        "rate": images / (time.perf_counter() - prepared),
        "correct": found,
        "torch": torch.__version__,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
