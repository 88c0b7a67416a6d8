"""Random sweep files: small, over all settings that can change a result, each named by a seed.

    sweeps.py SEED      prints one

A file may contradict itself; `tombola plan` says so, and whoever asked draws another. Nothing here knows what a sweep
comes to.
"""

import random
import sys

SHAPES = ([1, 8, 8], [3, 8, 8], [1, 10, 10], [2, 12, 12])
# Chances of a thing that most sweeps have not.
SELDOM, OFTEN = 0.15, 0.5


class Draw(random.Random):
    """Choices from one seed."""

    def chance(self, share):
        return self.random() < share

    def some(self, values, most=2):
        """One value, or an axis of several."""
        values = list(values)
        count = min(self.randint(1, most), len(values))
        chosen = self.sample(values, count)
        return chosen[0] if count == 1 else chosen


def own_network(draw):
    """Layers of a network of one's own: convolutions, one residual block or none, and a head."""
    conv = lambda: {"conv": draw.choice([4, 6, 8]), "kernel": draw.choice([1, 3]), "bias": draw.chance(OFTEN)}
    layers = [conv()]
    if draw.chance(0.7):
        layers.append("batch-norm")
    layers.append("relu")
    if draw.chance(0.6):
        width, stride = draw.choice([6, 8]), draw.choice([1, 2])
        branch = [{"conv": width, "stride": stride}, "batch-norm"]
        if draw.chance(OFTEN):
            branch += ["relu", {"conv": width}, "batch-norm"]
        if draw.chance(0.3):
            # Before the activation: the batch norm reads the stream, and can leave channels of it out.
            branch = ["batch-norm", "relu", {"conv": width, "stride": stride}]
        shortcut = [{"conv": width, "kernel": 1, "stride": stride}]
        layers += [{"residual": branch, "shortcut": shortcut}, "relu"]
    if draw.chance(0.4):
        layers.append({draw.choice(["max-pool", "average-pool"]): 2})
    if draw.chance(OFTEN):
        layers.append("global-average-pool")
    else:
        layers += ["flatten", {"linear": draw.choice([12, 20])}, draw.choice(["relu", "relu", "gelu"])]
        if draw.chance(SELDOM):
            layers.append({"dropout": 0.25})
    return layers + [{"linear": "classes"}]


def network(draw, networks):
    """Settings of a network, and whether it has batch norms."""
    kinds = ["lenet-300-100", "lenet-5", "conv-2", "resnet", "resnet", "resnetb", "resnetb", "own", "own", "own"]
    kind = draw.choice([*kinds, "mlp", "wide-resnet", "densenet-bc"])
    if kind == "own":
        name = f"own-{len(networks) + 1}"
        networks[name] = own_network(draw)
        return {"network": name}, "batch-norm" in str(networks[name])
    settings = {"network": kind}
    if kind == "resnet":
        settings |= {"depth": 8, "width": draw.choice([3, 4]), "shortcut": draw.choice("ab")}
    if kind == "resnetb":
        settings |= {"depth": 11, "width": draw.choice([2, 4])}
    if kind == "mlp":
        settings["hidden"] = draw.choice([[], [12], [20, 12]])
    if kind == "wide-resnet":
        settings |= {"depth": 10, "width": 1}
    if kind == "densenet-bc":
        settings |= {"depth": draw.choice([10, 16]), "width": draw.choice([2, 4])}
    return settings, kind.startswith("resnet") or kind in ("wide-resnet", "densenet-bc")


def data(draw, settings):
    shape = [1, 16, 16] if settings["network"] == "lenet-5" else draw.choice(SHAPES)
    size = draw.randint(64, 128 if settings["network"] == "conv-2" else 256)
    settings |= {"dataset": "synthetic", "synthetic-shape": shape, "synthetic-size": size}
    settings["synthetic-classes"] = draw.randint(2, 10)
    if draw.chance(SELDOM):
        settings["train-limit"] = draw.randint(48, size)
    if draw.chance(0.3):
        settings["validation-size"] = draw.choice([0, 7, 16, 24])
    if draw.chance(0.3):
        settings["augment"] = draw.choice(["none", "crop-flip", ["flip", "cutout:3"], ["crop:2", "flip", "cutout:4"]])
        if shape[0] in (1, 3) and draw.chance(OFTEN):
            settings["augment"] = draw.choice([["random-resized-crop", "colour:0.4"], ["flip", "randaugment"], ["rotate:15"]])
    if draw.chance(SELDOM):
        settings |= {"input-mean": [0.5], "input-std": [0.25]}
    if shape[0] in (1, 3) and draw.chance(SELDOM):
        settings |= {"filter": draw.some(["none", "low-pass", "high-pass"]), "filter-sigma": draw.choice([0.5, 1.0, 2.0])}
    if draw.chance(0.3):
        settings["select"] = draw.choice(["validation", "test"])


def epoch_steps(settings):
    """Steps of an epoch: of the images that are used, a tenth validates unless it is said how many."""
    used = settings.get("train-limit", settings["synthetic-size"])
    held_out = settings.get("validation-size", max(1, used // 10))
    return -(-(used - held_out) // settings["batch-size"])


def point(draw, settings, least=1):
    """A point of a training, within an epoch or where one ends, in one of its spellings."""
    steps = epoch_steps(settings)
    step = draw.randint(least, steps * settings["epochs"] - 1)
    return draw.choice([f"{step}it", f"iteration:{step}", f"{step // steps}ep{step % steps}it"])


def training(draw, settings, norms):
    """Optimiser and schedule."""
    epochs = settings["epochs"]
    settings["batch-size"] = draw.choice([8, 16, 24, 32, 64])
    kind = draw.choice(["sgd", "sgd", "sgd", "adam", "adamw", "adadelta", "rmsprop"])
    settings["optimizer"] = kind
    rates = {"sgd": [0.01, 0.05, 0.1], "adadelta": [0.5, 1.0], "rmsprop": [0.0005, 0.001]}
    settings["learning-rate"] = draw.choice(rates.get(kind, [0.001, 0.003, 0.01]))
    if kind == "sgd":
        settings["momentum"] = draw.choice([0.0, 0.5, 0.9])
        settings["nesterov"] = draw.chance(OFTEN)
    if kind.startswith("adam"):
        settings |= {"beta1": draw.choice([0.9, 0.8]), "beta2": draw.choice([0.999, 0.95])}
    settings["weight-decay"] = draw.choice([0.0, 1e-4, 5e-4, 1e-2])
    if norms:
        settings["bn-init"] = draw.choice([1.0, 0.5, "uniform"])
        if draw.chance(0.4):
            settings["slimming"] = draw.choice([1e-4, 1e-3, 1e-2])
    if draw.chance(0.05):
        settings["precision"] = "bf16"
    schedule = draw.choice(["none", "manual", "step", "plateau", "cosine", "cosine-restarts", "cyclic"])
    settings["schedule"] = schedule
    settings["gamma"] = draw.choice([0.1, 0.3, 0.5])
    settings["lr-milestones"] = sorted(draw.sample(range(1, epochs + 1), draw.randint(1, min(2, epochs))))
    settings["step-epochs"] = draw.randint(1, 3)
    settings["patience"] = draw.randint(0, 2)
    settings["min-lr"] = draw.choice([0.0, 1e-5, 1e-4])
    settings["cycle-epochs"] = draw.randint(1, 4)
    settings["cycle-factor"] = draw.randint(1, 2)
    settings["warmup-epochs"] = draw.choice([0, 0, 1, 2])
    if draw.chance(SELDOM):
        settings["warmup-epochs"] = draw.choice([point(draw, settings), "0.5ep"])
    if draw.chance(SELDOM):
        settings["lr-milestones"] = [point(draw, settings), draw.randint(1, epochs)]
    if draw.chance(0.3):
        settings["schedule-by"] = draw.choice(["epoch", "iteration"])
    recipe(draw, settings)


def recipe(draw, settings):
    """What papers add to a training: seldom each, so that most sweeps are plain."""
    choices = {
        "mixup": [0.2, 0.4],
        "cutmix": [1.0],
        "label-smoothing": [0.1],
        "weight-decay-on": ["weights"],
        "clip-norm": [0.5, 1.0],
        "average": [0.9, 0.99],
        "class-weights": ["balanced"],
        "last-batch": ["keep", "drop", "join"],
        "warmup-start": [0.1],
        "schedule-after-warmup": [True],
    }
    if draw.chance(0.3):
        for key in draw.sample(sorted(choices), draw.randint(1, 3)):
            settings[key] = draw.choice(choices[key])


def pruning(draw, settings, norms):
    epochs = settings["epochs"]
    channels = draw.chance(0.45 if norms else 0.2)
    settings["pruning-type"] = "structured" if channels else "unstructured"
    if channels:
        criteria = ["l1", "l2", "geometric-median", "taylor", "random"] + ["auto", "bn-scale"] * (2 if norms else 0)
        settings["scope"] = draw.choice(["global", "layer"])
        settings["streams"] = draw.choice(["whole", "group"])
        settings["round-channels"] = draw.choice([1, 1, 2, 4])
    else:
        criteria = ["auto", "magnitude", "magnitude", "lamp", "random", "snip", "grasp", "synflow"]
        settings["scope"] = draw.choice(["global", "layer", "erk", "deviation"])
        if settings["scope"] == "deviation":
            criteria = ["magnitude"]
        settings["prune-layers"] = draw.choice(["all", "all", "conv", "linear"])
        settings["output-rate"] = draw.choice([1.0, 1.0, 0.5, 0.0])
    settings["criterion"] = draw.some(criteria, 2 if draw.chance(0.3) else 1)
    settings["score-images"] = draw.choice([5, 16, 40, 1024])
    settings["pruning-ratio"] = draw.some([0.3, 0.5, 0.65, 0.8, 0.9, 0.97], 2)
    settings["prune-iterations"] = draw.some([1, 1, 2, 3], 2 if draw.chance(0.4) else 1)
    if draw.chance(SELDOM):
        settings["spare"] = draw.choice([["first"], ["last"], ["first", "last"]])
    if draw.chance(SELDOM):
        settings["ratios"] = {draw.choice(["first", "last"]): draw.choice([0.1, 0.25, 0.6])}
    if draw.chance(SELDOM):
        settings |= {"prune-rate": draw.choice([0.2, 0.4, 0.55]), "levels": draw.randint(2, 3)}
        del settings["pruning-ratio"], settings["prune-iterations"]
    elif channels and draw.chance(0.3):
        settings |= {"target": draw.choice(["macs:0.6", "parameters:0.5", "size:3kB"]), "prune-iterations": 1}
        del settings["pruning-ratio"]
    moments = ["last", "best", "early-bird", "early-bird", f"epoch:{draw.randint(0, epochs)}"]
    if draw.chance(SELDOM):
        moments += [point(draw, settings)] * 3
    settings["draw"] = draw.some(moments, 2 if draw.chance(0.4) else 1)
    settings["early-bird-rule"] = draw.some(["paper", "code"], 2 if draw.chance(0.2) else 1)
    settings["early-bird-window"] = draw.choice([2, 2, 3])
    settings["early-bird-epsilon"] = draw.choice([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0])
    rewinds = ["none", "lr", "init", "random", f"epoch:{draw.randint(0, epochs - 1)}"]
    if draw.chance(0.3):
        rewinds += [point(draw, settings)] * 3
    settings["reinit"] = draw.some(rewinds, 2)
    if draw.chance(OFTEN):
        settings["fine-tune-epochs"] = draw.randint(1, 3)
    if draw.chance(0.3):
        settings["fine-tune-lr"] = draw.choice([0.001, 0.01])
    if draw.chance(0.1):
        settings |= {"distill": draw.choice([0.5, 0.9]), "distill-temperature": draw.choice([2, 4])}
    settings["budget"] = draw.choice(["epochs", "epochs", "epochs", "flops", "remaining"])
    if draw.chance(0.4):
        settings["control"] = draw.some(["none", "reinit", "random-mask", "fork"], 3)
        settings["barrier-points"] = draw.choice([3, 4])


def while_training(draw, settings):
    """A mask that changes while the ticket trains, instead of one that is drawn once."""
    for key in ("early-bird-rule", "early-bird-window", "early-bird-epsilon", "control", "barrier-points", "average"):
        settings.pop(key, None)
    rule = draw.choice(["gradual", "rigl"])
    settings |= {
        "while-training": rule,
        "pruning-type": "unstructured",
        "criterion": "auto",
        "scope": draw.choice(["global", "layer", "erk"]),
        "prune-iterations": 1,
        "draw": draw.choice(["epoch:0", "last", "best"]),
        "budget": "epochs",
        "mask-every": draw.choice([1, 2, 3, 5]),
        "mask-until": draw.choice([0.5, 0.75, 1.0]),
    }
    if rule == "gradual":
        settings |= {"mask-from": draw.choice([0, 0, 2]), "start-ratio": draw.choice([0.0, 0.0, 0.2])}
    else:
        settings["drop-share"] = draw.choice([0.1, 0.3, 0.5])
    for key in ("streams", "round-channels", "levels", "prune-rate", "target", "ratios"):
        settings.pop(key, None)
    settings.setdefault("pruning-ratio", 0.5)


def seeds(draw, settings):
    settings["seed"] = draw.some([1, 2, 3, 7, 2**40 + 5], 3)
    for name in ("init-seed", "order-seed", "augment-seed"):
        if draw.chance(0.1):
            settings[name] = draw.some([11, 12], 2)


def asking(draw, settings):
    """Trials of which results decide what is trained."""
    if draw.chance(0.1):
        settings |= {"find": "sparsest", "within": draw.choice([0.0, 2.0, 20.0])}
        if "levels" not in settings:
            settings["pruning-ratio"] = [0.3, 0.5, 0.7, 0.8, 0.9]
    elif draw.chance(0.1):
        settings |= {"halving": draw.choice([2, 3]), "learning-rate": [0.003, 0.01, 0.03, 0.1]}
        settings["halving-over"] = draw.choice(["auto", ["learning-rate", "reinit", "scope"]])
        if "prune-rate" not in settings:
            settings["scope"] = ["global", "layer"]


def running(draw, epochs):
    """Settings that decide what stays on disk."""
    settings = {"name": "sweep", "snapshot-seconds": draw.choice([0, 0, 0, 0.05, 1000])}
    settings["save"] = draw.chance(0.6)
    if draw.chance(0.7):
        # An epoch of one block may be none of another, which the program refuses.
        settings["epochs-save"] = sorted(draw.sample(range(0, epochs + 1), draw.randint(1, epochs)))
    if draw.chance(0.3):
        settings["track-masks"] = draw.choice(["none", [0.3, 0.7], [0.5]])
    if draw.chance(SELDOM):
        settings["controls"] = True
    if draw.chance(0.1):
        settings["keep"] = "nothing"
    return settings


def toml(value):
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case list():
            return "[" + ", ".join(toml(part) for part in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + " }"
        case _:
            return repr(value)


def lines(settings):
    # The one value of these is a list.
    return [f"{key} = {toml(value)}" for key, value in settings.items()]


def sweep(seed):
    """The text of a sweep file."""
    draw = Draw(seed)
    networks, blocks = {}, []
    epochs = draw.randint(2, 6)
    for _ in range(draw.choice([1, 1, 2])):
        settings, norms = network(draw, networks)
        settings["epochs"] = epochs
        data(draw, settings)
        training(draw, settings, norms)
        pruning(draw, settings, norms)
        if draw.chance(0.1):
            while_training(draw, settings)
        seeds(draw, settings)
        asking(draw, settings)
        if "halving" not in settings and draw.chance(0.2) and isinstance(settings["seed"], list):
            # Each seed with a learning rate of its own.
            rate = settings["learning-rate"]
            settings["learning-rate"] = [rate / (1 + place) for place in range(len(settings["seed"]))]
            settings["zip"] = ["seed", "learning-rate"]
        blocks.append(settings)
    text = lines(running(draw, epochs))
    for settings in blocks:
        text += ["", "[[grid]]", *lines(settings)]
    for name, layers in networks.items():
        text += ["", f"[networks.{name}]", f"layers = {toml(layers)}"]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    print(sweep(int(sys.argv[1])), end="")
