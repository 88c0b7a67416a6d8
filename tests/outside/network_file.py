"""Runs a network file by PyTorch's functions, node by node as it is written: what `tombola.from_torch` is checked against.

It shares nothing with the program or the package. Needs torch and safetensors.
"""

import struct
import tomllib

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file

FUNCTIONS = {
    "relu6": functional.relu6,
    "gelu": functional.gelu,
    "gelu-tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard-sigmoid": functional.hardsigmoid,
    "hard-swish": functional.hardswish,
    "softplus": functional.softplus,
    "mish": functional.mish,
    "exp": torch.exp,
    "abs": torch.abs,
    "leaky-relu": functional.leaky_relu,
    "elu": functional.elu,
    "clamp": torch.clamp,
    "power": torch.pow,
    "linear": lambda x, factor, added: x * factor + added,
}
PAIRS = {"add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div, "maximum": torch.maximum}


class NetworkFile:
    """`parameters` and `statistics` by name; `run` gives what the last node does."""

    def __init__(self, path, weights):
        with open(path, "rb") as file:
            self.table = tomllib.load(file)
        known = {"tombola-network", "input", "classes", "lists", "constants", "nodes"}
        if self.table["tombola-network"] != 1 or set(self.table) - known:
            raise ValueError(f"{path} is no network of form 1")
        self.lists = self.table.get("lists", [])
        self.constants = [self._constant(entry) for entry in self.table.get("constants", [])]
        tensors = load_file(weights)
        statistics = {f"{node['name']}.{kind}" for node in self.nodes if node["op"] == "batch-norm" for kind in ("running_mean", "running_var")}
        self.statistics = {name: tensor for name, tensor in tensors.items() if name in statistics}
        self.parameters = {name: tensor.requires_grad_() for name, tensor in tensors.items() if name not in statistics}
        wanted = [name for node in self.nodes for name in self.names(node)]
        if sorted(wanted) != sorted(self.parameters) or statistics != set(self.statistics):
            raise ValueError(f"{weights} has other tensors than {path}")

    def to(self, kind):
        """Computes in another type from now on."""
        self.parameters = {name: tensor.detach().to(kind).requires_grad_() for name, tensor in self.parameters.items()}
        self.statistics = {name: tensor.to(kind) for name, tensor in self.statistics.items()}
        self.constants = [tensor.to(kind) for tensor in self.constants]

    def weights_of(self, model):
        """Takes the values that a model has now, under the same names."""
        with torch.no_grad():
            for name, tensor in (*self.parameters.items(), *self.statistics.items()):
                tensor.copy_(model.state_dict()[name])

    @property
    def nodes(self):
        return self.table["nodes"]

    @staticmethod
    def _constant(entry):
        data = bytes.fromhex(entry["values"])
        return torch.tensor(struct.unpack(f"<{len(data) // 4}f", data)).reshape(entry["axes"])

    @staticmethod
    def names(node):
        """The parameters of a node, weight before bias."""
        if node["op"] == "learned":
            return [node["name"]]
        if "parameters" in node:
            return node["parameters"]
        both = node.get("affine", False)
        weight = {"conv", "conv-transposed", "linear", "prelu"} & {node["op"]} or node.get("weight", both)
        kinds = (["weight"] if weight else []) + (["bias"] if node.get("bias", both) else [])
        return [f"{node['name']}.{kind}" for kind in kinds]

    def run(self, images, training):
        """The outputs for a batch; statistics are moved in training."""
        values, shared, self.batch = [images], [False], len(images)
        for node in self.nodes:
            inputs = [values[place] for place in node["from"]]
            alone = all(shared[place] for place in node["from"]) and not node.get("images")
            try:
                value = self._node(node, inputs, training, alone)
            except Exception as error:
                raise ValueError(f"node `{node['name']}` ({node['op']}) of {[tuple(x.shape) for x in inputs]}: {error}") from error
            if not alone and value.shape[0] % self.batch:
                raise ValueError(f"node `{node['name']}` ({node['op']}): the first of {tuple(value.shape)} is not that of the images")
            if value.dim() > 8:
                raise ValueError(f"node `{node['name']}` has {value.dim()} axes")
            values.append(value)
            shared.append(alone)
        return values[-1]

    def _axes(self, sizes, alone):
        """Axes of a tensor, of which the first counts for each image."""
        return sizes if alone else [sizes[0] * self.batch, *sizes[1:]]

    def _weights(self, node):
        weights = [self.parameters[name] for name in self.names(node)]
        return (weights + [None, None])[:2]

    def _node(self, node, inputs, training, alone):
        op = node["op"]
        x = inputs[0] if inputs else None
        if op in ("add", "pair"):
            first, second = inputs
            if op == "add" and first.shape != second.shape:
                raise ValueError("the shapes differ")
            return PAIRS[node.get("function", "add")](first, second)
        if op in ("conv", "conv-transposed", "linear", "batch-norm", "layer-norm", "rms-norm", "group-norm", "prelu"):
            return self._layer(node, x, training)
        if op in ("max-pool", "avg-pool"):
            return self._pool(node, x)
        if op == "activation":
            function = node["function"]
            name, numbers = (function, []) if isinstance(function, str) else next(iter(function.items()))
            return FUNCTIONS[name](x, *(numbers if isinstance(numbers, list) else [numbers]))
        if op == "relu":
            return torch.relu(x)
        if op == "softmax":
            return x.softmax(node["axis"])
        if op == "dropout":
            return self._dropout(node, x, training)
        if op == "matrix-product":
            return inputs[0] @ inputs[1]
        if op == "attention":
            mask = inputs[3] if len(inputs) > 3 else None
            return functional.scaled_dot_product_attention(*inputs[:3], mask, scale=node["scale"], is_causal=node.get("causal", False))
        if op == "adaptive-pool":
            pool = functional.adaptive_avg_pool2d if node["reduction"] == "mean" else functional.adaptive_max_pool2d
            return pool(x, node["to"])
        if op == "global-average-pool":
            return self._image(x).mean((2, 3))
        if op == "flatten":
            return x.flatten(1)
        if op == "pad-shortcut":
            x = self._image(x)[:, :, :: node["stride"], :: node["stride"]]
            return functional.pad(x, (0, 0, 0, 0, node["before"], node["after"]))
        if op == "pad":
            filling = node["filling"]
            if isinstance(filling, dict):
                return functional.pad(self._image(x), node["around"], value=filling["constant"])
            return functional.pad(self._image(x), node["around"], mode=filling)
        if op == "interpolate":
            corners = {} if node["mode"] == "nearest" else {"align_corners": node.get("align_corners", False)}
            return functional.interpolate(self._image(x), node["to"], mode=node["mode"], **corners)
        if op == "reduce":
            axes, keep = node["axes"], node["keep"]
            self._not_images(axes, alone)
            reductions = {"mean": torch.mean, "max": torch.amax, "sum": torch.sum, "norm": torch.linalg.vector_norm}
            return reductions[node["reduction"]](x, dim=axes, keepdim=keep)
        if op == "learned":
            return self.parameters[node["name"]].reshape(node["shape"])
        if op == "constant":
            return self.constants[node["list"]]
        return self._moved(node, inputs, alone)

    def _moved(self, node, inputs, alone):
        """What computes nothing."""
        op, x = node["op"], inputs[0]
        if "axis" in node:
            self._not_images([node["axis"]], alone)
        if op in ("select", "take"):
            places = torch.tensor(self.lists[node["list"]])
            if op == "select" and len(places) != node["out"]:
                raise ValueError("the list has another length")
            return x.index_select(node.get("axis", 1), places)
        if op == "slice":
            places = torch.arange(node["start"], node["end"], node.get("step", 1))
            return x.index_select(node["axis"], places)
        if op == "concat":
            return torch.cat(inputs, node["axis"])
        if op == "reshape":
            return x.reshape(self._axes(node["to"], alone))
        if op == "permute":
            if not alone and node["order"][0] != 0:
                raise ValueError("moves the axis of the images")
            return x.permute(node["order"])
        if op == "expand":
            return x.expand(self._axes(node["to"], not node["images"]))
        if op == "roll":
            return x.roll(node["by"], node["axis"])
        raise ValueError(f"`{op}` is no operation")

    @staticmethod
    def _not_images(axes, alone):
        if not alone and 0 in axes:
            raise ValueError("works along the axis of the images")

    @staticmethod
    def _image(x):
        if x.dim() != 4:
            raise ValueError("needs an image")
        return x

    def _layer(self, node, x, training):
        op = node["op"]
        weight, bias = self._weights(node)
        if op in ("conv", "conv-transposed"):
            signals = x.dim() == 3
            window = {name: values[1:] if signals else values for name, values in node["window"].items()}
            if list(weight.shape[2:]) != window.pop("kernel"):
                raise ValueError("its kernel is another")
            if op == "conv":
                return (functional.conv1d if signals else functional.conv2d)(x, weight, bias, groups=node["groups"], **window)
            return functional.conv_transpose2d(x, weight, bias, output_padding=node["output_padding"], groups=node["groups"], **window)
        if op == "linear":
            if x.dim() == 4 and x.shape[0] == self.batch:
                raise ValueError("reads an image")
            return functional.linear(x, weight, bias)
        if op == "batch-norm":
            mean, variance = (self.statistics[f"{node['name']}.{kind}"] for kind in ("running_mean", "running_var"))
            return functional.batch_norm(x, mean, variance, weight, bias, training, node["momentum"], node["eps"])
        if op in ("layer-norm", "rms-norm"):
            sizes = x.shape[-node["axes"] :]
            if op == "rms-norm":
                return functional.rms_norm(x, sizes, weight, node["eps"])
            if not node["weight"]:
                weight, bias = None, weight
            return functional.layer_norm(x, sizes, weight, bias, node["eps"])
        if op == "group-norm":
            return functional.group_norm(x, node["groups"], weight, bias, node["eps"])
        return functional.prelu(x, weight)

    def _pool(self, node, x):
        window = dict(node["window"])
        kernel, dilation = window.pop("kernel"), window.pop("dilation")
        signals = x.dim() == 3
        x = x.unsqueeze(2) if signals else x
        if node["op"] == "max-pool":
            x = functional.max_pool2d(x, kernel, dilation=dilation, ceil_mode=node["ceil"], **window)
        else:
            x = functional.avg_pool2d(x, kernel, ceil_mode=node["ceil"], count_include_pad=node["counts_padding"], **window)
        return x.squeeze(2) if signals else x

    def _dropout(self, node, x, training):
        if not training:
            return x
        if node["of"] == "values":
            return functional.dropout(x, node["rate"])
        together = x.shape[: 1 if node["of"] == "images" else 2]
        kept = 1 - node["rate"]
        noise = x.new_empty([*together, *[1] * (x.dim() - len(together))]).bernoulli_(kept)
        return x * noise / kept
