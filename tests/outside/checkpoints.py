"""Writes checkpoints in the forms that programs leave them in, and looks at what Tombola made of them.

`checkpoints.py write FOLDER` writes files and prints what should become of each. `checkpoints.py compare FOLDER` compares the
exported networks (`NAME.out.safetensors`) with the weights that were written."""

import collections
import json
import os
import pathlib
import pickle
import sys

import numpy
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import prune

WIDTH = 4


class Block(nn.Module):
    """A block of the CIFAR ResNet; `words` are what its parts are called."""

    def __init__(self, inputs, outputs, stride, words):
        super().__init__()
        self.words = words
        setattr(self, words["conv1"], nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))
        setattr(self, words["bn1"], nn.BatchNorm2d(outputs))
        setattr(self, words["conv2"], nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False))
        setattr(self, words["bn2"], nn.BatchNorm2d(outputs))
        if stride != 1:
            shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            setattr(self, words["shortcut"], shortcut)


class ResNet(nn.Module):
    def __init__(self, words, classes=10):
        super().__init__()
        setattr(self, words["stem"], nn.Conv2d(1, WIDTH, 3, 1, 1, bias=False))
        setattr(self, words["norm"], nn.BatchNorm2d(WIDTH))
        widths = [WIDTH, WIDTH, 2 * WIDTH, 4 * WIDTH]
        blocks = [Block(widths[i], widths[i + 1], 1 if i == 0 else 2, words) for i in range(3)]
        if words["layers"] == "blocks":
            self.blocks = nn.Sequential(*blocks)
        else:
            for number, block in enumerate(blocks, 1):
                setattr(self, f"layer{number}", nn.Sequential(block))
        setattr(self, words["head"], nn.Linear(4 * WIDTH, classes))


OURS = dict(stem="conv1", norm="bn1", layers="layer", conv1="conv1", bn1="bn1", conv2="conv2", bn2="bn2",
            shortcut="downsample", head="fc")
PLAIN = dict(OURS, shortcut="shortcut", head="linear")
OPEN = dict(OURS, stem="conv", norm="bn", layers="blocks", shortcut="shortcut")


def trained(words, classes=10):
    """A network with values that are no defaults, the same under any names."""
    network = ResNet(words, classes)
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            drawn = torch.rand(value.shape, generator=generator)
            # Multiples of 1/64 are exact in all types.
            drawn = (drawn * 64).floor() / 64
            value.copy_(drawn + 0.5 if "var" in name else drawn - 0.5 if value.dim() > 1 else drawn)
        else:
            value.fill_(12)
    return network


def prefixed(state, prefix):
    return collections.OrderedDict((prefix + name, value) for name, value in state.items())


def old(value, path, **more):
    torch.save(value, path, _use_new_zipfile_serialization=False, **more)


class Tar:
    """A file of PyTorch before 0.1.10, as far as anything looks at it."""

    @staticmethod
    def write(path):
        import io
        import tarfile

        with tarfile.open(path, "w") as archive:
            for name in ["sys_info", "pickle", "tensors", "storages"]:
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def write(folder):
    folder = pathlib.Path(folder)
    network = trained(OURS)
    state = network.state_dict()
    safetensors.torch.save_file(state, folder / "reference.safetensors")
    expected = {}

    def put(name, save, value, says=(), refused=None, flags="", **more):
        path = folder / name
        save(value, path, **more)
        expected[name] = {"says": list(says), "refused": refused, "flags": flags}

    def saved(value, path, **more):
        torch.save(value, path, **more)

    def tensors(value, path):
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in value.items()}, path)

    put("plain.pth", saved, state)
    put("plain.safetensors", tensors, state)
    # Before PyTorch 1.6.
    put("old.pth", old, state)
    bare = collections.OrderedDict((name, value) for name, value in state.items() if "num_batches" not in name)
    put("old-bare.pth", old, bare)
    both = torch.stack([torch.zeros_like(state["fc.weight"]), state["fc.weight"]])
    put("old-views.pth", old, dict(state, **{"fc.weight": both[1], "conv1.weight": state["conv1.weight"].clone(
        memory_format=torch.channels_last)}))
    for protocol in [0, 1, 3, 4, 5]:
        if protocol > 1:
            put(f"protocol-{protocol}.pth", saved, {"state_dict": state}, ["`state_dict`"], pickle_protocol=protocol)
        if protocol > 0:
            put(f"old-protocol-{protocol}.pth", old, {"state_dict": state}, ["`state_dict`"], pickle_protocol=protocol)
    # Wrappers, and what stands beside.
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    network.load_state_dict(safetensors.torch.load_file(folder / "reference.safetensors"))
    state = collections.OrderedDict((name, value.clone()) for name, value in network.state_dict().items())
    for word in ["state_dict", "model_state_dict", "model", "net", "params", "network", "weights"]:
        beside = {"epoch": 3, "arch": "resnet8", "best_prec1": torch.tensor(91.5), "optimizer": optimizer.state_dict(),
                  word: prefixed(state, "module."), "args": collections.Counter(a=1)}
        put(f"wrapped-{word}.pth", saved, beside, [f"`{word}`"])
        put(f"old-wrapped-{word}.pth", old, beside, [f"`{word}`"])
    average = collections.OrderedDict((name, value * 0) for name, value in state.items())
    put("ema.pth", saved, {"state_dict_ema": average, "state_dict": state}, ["`state_dict`", "`state_dict_ema` would fit"])
    put("deep.pth", saved, {"result": {"best": {"model": prefixed(state, "net.")}}}, ["`result.best.model`"])
    put("parameters.pth", saved, dict(network.named_parameters(), **dict(network.named_buffers())))
    for number, prefix in enumerate(["module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.model."]):
        put(f"prefix-{number}.pth", saved, prefixed(state, prefix))
        put(f"prefix-{number}.safetensors", tensors, prefixed(state, prefix))
    counters = {"total_ops": torch.zeros(1, dtype=torch.float64), "layer1.0.total_params": torch.zeros(1).double(),
                "layer1.0.select.indexes": torch.ones(4)}
    put("extra.pth", saved, dict(state, **counters), ["3 tensors", "`total_ops`", "left out"])
    put("extra.safetensors", tensors, dict(state, **counters), ["3 tensors", "left out"])
    # Types.
    for word in ["half", "bfloat16", "double"]:
        put(f"{word}.pth", old, {name: getattr(value, word)() if value.is_floating_point() else value
                                 for name, value in state.items()}, ["became float32"])
        put(f"{word}.safetensors", tensors, {name: getattr(value, word)() if value.is_floating_point() else value
                                             for name, value in state.items()}, ["became float32"])
    put("whole-numbers.pth", saved, {name: value.to(torch.int8) for name, value in state.items()},
        refused=["int8", "quantised"])
    # Other names.
    other = trained(PLAIN).state_dict()
    put("names.pth", saved, other, ["`linear` for `fc`", "`layer2.0.shortcut.*` for `layer2.0.downsample.*`"])
    put("names.safetensors", tensors, other, ["`linear` for `fc`"])
    put("open-lth.pth", saved, {"ep": 160, "it": 0, "model_state_dict": prefixed(trained(OPEN).state_dict(), "model.")},
        ["`blocks.1.conv1` for `layer2.0.conv1`"])
    put("swapped.pth", saved, {name.replace("fc.", "somewhere."): value for name, value in state.items()},
        ["`somewhere` for `fc`"])
    (folder / "names.toml").write_text('"first" = "conv1"\n"last" = "fc"\n')
    renamed = {name.replace("fc.", "last."): value for name, value in state.items()}
    renamed["first.weight"] = renamed.pop("conv1.weight")
    put("pairs.safetensors", tensors, renamed, flags="--load-names names.toml")
    put("lacks.pth", saved, {name: value for name, value in state.items() if not name.startswith("layer3")},
        refused=["missing", "`layer3.0.conv1.weight`", "--network"])
    # Another number of classes.
    more = dict(state, **{"fc.weight": torch.zeros(100, 4 * WIDTH), "fc.bias": torch.zeros(100)})
    put("classes.pth", saved, more, refused=["[100, 16], expected [10, 16]", "load-head = \"new\""])
    # Whole modules, and programs.
    put("module.pth", saved, network, refused=["an object of the class", "torch.save(network.state_dict(), "])
    put("old-module.pth", old, network, refused=["an object of the class", "weights_only=False)"])
    put("module-in-it.pth", old, {"net": network, "acc": 90.5}, refused=["`net` in it is an object", '["net"]'])
    script = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    put("script.pt", lambda value, path: value.save(str(path)), script, refused=["TorchScript", "torch.jit.load("])
    put("tar.pth", lambda value, path: value.write(path), Tar, refused=["before version 0.1.10", "torch.load("])
    put("pickle.pkl", lambda value, path: path.write_bytes(pickle.dumps(value)), {"a": numpy.zeros(2)},
        refused=["not one of `torch.save`"])
    # Masks of PyTorch and of open_lth.
    pruned = trained(OURS)
    for module in pruned.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            prune.l1_unstructured(module, "weight", amount=0.5)
    masked = {name: (module.weight_mask, module.weight_orig) for name, module in pruned.named_modules()
              if hasattr(module, "weight_mask")}
    zeros = {f"{name}.weight": (mask * weight).detach() for name, (mask, weight) in masked.items()}
    safetensors.torch.save_file(dict(state, **zeros), folder / "masked.safetensors")
    put("pruned.pth", saved, {"state_dict": prefixed(pruned.state_dict(), "module.")}, ["masks of the file"])
    put("old-pruned.pth", old, pruned.state_dict(), ["masks of the file"])
    branch = prefixed(trained(OPEN).state_dict(), "model.")
    theirs = dict(zip([name for name in trained(OURS).state_dict()], trained(OPEN).state_dict()))
    branch.update({"mask_" + theirs[f"{name}.weight"].replace(".", "___"): mask for name, (mask, _) in masked.items()})
    put("open-lth-pruned.pth", saved, {"ep": 1, "it": 2, "model_state_dict": branch}, ["masks of the file"])
    print(json.dumps(expected))


def compare(folder):
    folder = pathlib.Path(folder)
    wanted = {kind: safetensors.torch.load_file(folder / f"{kind}.safetensors") for kind in ["reference", "masked"]}
    compared = 0
    for path in sorted(folder.glob("*.out.safetensors")):
        found = safetensors.torch.load_file(path)
        state = wanted["masked" if "pruned" in path.name else "reference"]
        for name, value in state.items():
            if "num_batches" not in name and not torch.equal(found[name], value):
                sys.exit(f"{path.name}: {name} differs")
        compared += 1
    print(compared)


if __name__ == "__main__":
    os.umask(0o22)
    {"write": write, "compare": compare}[sys.argv[1]](sys.argv[2])
