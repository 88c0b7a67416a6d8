"""Records the files of this folder: state dicts as `torch.save` writes them. `record.py` with PyTorch 2.11."""

import collections
import os
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(2)
        self.fc = nn.Linear(8, 3)


class Evil:
    """Unpickled as Python does it, this makes a file."""

    def __reduce__(self):
        return os.system, ("touch /tmp/tombola-was-run",)


def main():
    torch.manual_seed(1)
    network = Network()
    for number, parameter in enumerate(network.state_dict().values()):
        flat = parameter.data.view(-1) if parameter.dim() else parameter.data
        flat.copy_(torch.arange(parameter.numel()).view(flat.shape) / 8 + number)
    plain = network.state_dict()
    torch.save(plain, HERE / "plain.pth")
    # As training programs save: inside of something larger, in parallel, with weights that are views of others.
    strange = collections.OrderedDict(("module." + name, value) for name, value in plain.items())
    strange["module.conv1.weight"] = plain["conv1.weight"].clone(memory_format=torch.channels_last)
    both = torch.stack([torch.zeros(3, 8), plain["fc.weight"]])
    strange["module.fc.weight"] = nn.Parameter(both[1])
    checkpoint = {"epoch": 7, "state_dict": strange, "best": 0.5, "when": collections.Counter(a=1), "evil": Evil()}
    torch.save(checkpoint, HERE / "checkpoint.pth")
    torch.save(Evil(), HERE / "evil.pth")


if __name__ == "__main__":
    main()
