"""What `from_torch` tells of a network that it wrote: its size, what was left out, and the line for a sweep."""

import collections
import os


class Summary:
    """`network` and `weights` are the files, `operations` counts nodes by kind, `parameters` values that are learned."""

    def __init__(self, network, weights, graph, classes, tensors, notes):
        self.network, self.weights = network, weights
        self.input, self.classes = tuple(graph.nodes[0].shape[1:]), classes
        self.operations = collections.Counter(node.op for node in graph.nodes[1:])
        learned = {name for node in graph.nodes for name in node.weights}
        self.parameters = sum(array.size for name, array in tensors.items() if name in learned)
        self.tensors = len(learned)
        self.notes = notes

    def __str__(self):
        image = "x".join(map(str, self.input))
        most = [f"{count} {name}" for name, count in self.operations.most_common()]
        most = ", ".join(most if len(most) < 8 else [*most[:6], "…"])
        lines = [
            f"{self.network}: {sum(self.operations.values())} nodes for inputs of {image} and {self.classes} classes ({most})",
            f"{self.weights}: {self.parameters:,} parameters in {self.tensors} tensors",
            *(f"note: {note}" for note in self.notes),
            f'in a sweep file beside it: network = "{os.path.basename(self.network)}"',
            f'to prune these weights, if they are trained: load = "{os.path.basename(self.weights)}"',
        ]
        return "\n".join(lines)

    __repr__ = __str__
