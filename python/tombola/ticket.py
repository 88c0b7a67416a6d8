"""One training of a sweep: its weights, mask and first weights as NumPy arrays, or as a state dict of PyTorch.

The program writes what is asked for, so that snapshots are found, joined over shards and refused as it does that.
"""

import os
import tempfile
from functools import cached_property

from . import files, program


class Ticket:
    """A training. `row` has its settings and what came out; arrays have PyTorch's names and shapes."""

    def __init__(self, results, row):
        self._results = results
        self.row = row
        self.stage = row["stage"]
        self.trial = int(row["trial"])
        self.level = int(row["level"])

    def read(self, snapshot=None, form="masked"):
        """The arrays of a state that was kept, by name.

        `snapshot` is `best`, `last`, `epoch:K`, `500it` …, or `init` for the weights before training under the ticket's mask; unless
        it is given, the best one that was kept, else the last. `form` is `masked`, the form of the dense network with zeros,
        or `compact`, without pruned channels.
        """
        options = ["--form", form, "--kind", "safetensors"]
        if snapshot is not None:
            options += ["--snapshot", snapshot]
        with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
            file = os.path.join(folder, "ticket.safetensors")
            program.call("export", self._results.folder, self.stage, *options, "--out", file)
            return files.safetensors(file)[0]

    @cached_property
    def weights(self):
        """The best weights that were kept, else the last; pruned ones are 0."""
        return self.read()

    @cached_property
    def initial(self):
        """The weights before the first epoch; pruned ones are 0."""
        return self.read("init")

    @cached_property
    def mask(self):
        """For each convolution and linear weight an array of truth values: whether it is alive. None for a dense network."""
        if self.level == 0:
            return None
        with tempfile.TemporaryDirectory(prefix="tombola-") as folder:
            file = os.path.join(folder, "masks.npz")
            program.call("export", self._results.folder, self.stage, "--kind", "numpy", "--out", file)
            return files.arrays(file)

    @property
    def epochs(self):
        """Its rows of the table of epochs."""
        return self._results.epochs(self.stage)

    def state_dict(self, snapshot=None, form="masked"):
        """The same as `read`, as tensors, for `load_state_dict` of a module with these names. Needs PyTorch."""
        try:
            import torch
        except ImportError as error:
            raise ImportError("a state dict needs PyTorch, which cannot be imported; `read` gives the same as NumPy arrays") from error
        return {name: torch.from_numpy(array) for name, array in self.read(snapshot, form).items()}

    def __repr__(self):
        known = [f"trial {self.trial}, level {self.level}", self.row["network"], self.row["state"]]
        density, accuracy = self.row["density"], self.row["best_test_accuracy"]
        if density == density:
            known.append(f"{density:.2%} of the weights")
        if accuracy == accuracy:
            known.append(f"{accuracy:.2%} test accuracy")
        return f"<tombola ticket {self.stage}: {', '.join(known)}>"
