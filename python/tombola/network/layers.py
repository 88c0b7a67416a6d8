"""Operators that have parameters: convolutions, linear layers, norms, and tensors that are learned."""

import math

import torch

from .call import Parameter, operator
from .view import IMAGES, View


PLAIN = "use a plain layer; Tombola prunes and trains the values that a layer multiplies with"


def learned(call, parameter):
    """The view of a parameter that is used as it is."""
    tensor = parameter.tensor.detach().float()
    first, spread = (float(tensor.flatten()[0]), float(tensor.std())) if tensor.numel() > 1 else (float(tensor), 0.0)
    # As many digits as a float32 has.
    first, spread = (float(f"{number:.7g}") for number in (first, spread))
    begins = {"constant": first} if bool((tensor == tensor.flatten()[0]).all()) else {"normal": spread}
    shape = list(tensor.shape) or [1]
    node = call.graph.add("learned", [], shape, False, weights=[parameter.name], named=parameter.name, shape=shape, begins=begins)
    return View.of(call.graph, node, tuple(tensor.shape) if tensor.dim() else ())


def _name(parameter):
    """The name of a layer, from that of its weight: of `attn.in_proj_weight` it is `attn.in_proj`."""
    for kind in ("weight", "bias"):
        for joint in "._":
            if parameter.name.endswith(joint + kind):
                return parameter.name[: -len(joint + kind)]
    return parameter.name


def _layer(call, op, inputs, shape, parameters, buffers=(), named=None, **attributes):
    """Adds a node with parameters, weight before bias; its name is that of the weight without its last part."""
    given = [parameter for parameter in parameters if parameter is not None]
    for parameter in given:
        if not isinstance(parameter, Parameter):
            call.refuse("reads weights that are computed from other tensors", PLAIN)
    for parameter in given:
        call.lowering.take(call, parameter)
    if named is None and given:
        named = _name(given[0])
    weights = [parameter.name for parameter in given]
    return call.graph.add(op, inputs, shape, weights=weights, buffers=list(buffers), named=named, **attributes)


def _bias(call, bias):
    """The bias as a parameter of the layer, or what is added after it because it is computed."""
    if bias is None or isinstance(bias, Parameter):
        return bias, None
    return None, call.lowering.view(call, bias)


def _pair(values):
    values = list(values) if isinstance(values, (list, tuple)) else [values]
    return values * 2 if len(values) == 1 else values


def window(call, kernel, stride, padding, dilation=(1,), signals=False):
    """As Tombola writes it; of signals, which have one row, the second of each pair counts."""
    lists = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    found = {}
    for name, values in lists.items():
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        only = 0 if name == "padding" else 1
        found[name] = [only, values[-1]] if signals else _pair(values)
    return found


def _same(call, weight, dilation, stride):
    sizes = [(size - 1) * step for size, step in zip(weight.shape[2:], dilation)]
    if any(size % 2 for size in sizes):
        call.refuse("pads one side more than the other", "use a kernel of odd size")
    return [size // 2 for size in sizes]


@operator("conv2d", "conv1d", "convolution", "conv_transpose2d")
def convolution(call):
    x, weight = call.view("input"), call["weight"]
    if not isinstance(weight, Parameter):
        _layer(call, "conv", [], (), [weight])
    signals = len(call.shape) == 3
    transposed = call.name == "conv_transpose2d" or bool(call["transposed"])
    rank = len(call.shape) - 2
    stride, dilation = (list(call[name]) * (rank if len(call[name]) == 1 else 1) for name in ("stride", "dilation"))
    padding = call["padding"]
    if isinstance(padding, str):
        padding = [0] * rank if padding == "valid" else _same(call, weight.tensor, dilation, stride)
    if not x.images:
        return _of_shared(call, x, weight, transposed or stride + dilation != [1] * 2 * rank or any(padding))
    bias, added = _bias(call, call["bias"])
    read = x.arranged()
    attributes = {
        "out": call.shape[1],
        "window": window(call, list(weight.tensor.shape[2:]), stride, padding, dilation, signals),
        "groups": call["groups"],
        "bias": bias is not None,
    }
    if transposed:
        if signals:
            call.refuse("is a transposed convolution of signals", "use one of images")
        attributes["output_padding"] = _pair(call["output_padding"])
    shape = (call.shape[0] // IMAGES, *call.shape[1:])
    node = _layer(call, "conv-transposed" if transposed else "conv", [read], shape, [weight, bias], **attributes)
    result = call.of(node, batch=0)
    return result if added is None else _added(call, result, added.reshaped((call.shape[1], *[1] * rank)))


def _of_shared(call, x, weight, moves):
    """A convolution of what is the same for all images, such as places: with a window of 1 a product of matrices."""
    from .elements import paired
    from .products import product

    out, inputs, *kernel = weight.tensor.shape
    if moves or call["groups"] != 1 or max(kernel) > 1:
        call.refuse("reads what is the same for all images", "compute it once, or use a kernel of 1")
    matrix = call.lowering.view(call, weight).reshaped((out, inputs))
    result = product(call, matrix, x.reshaped((x.shape[0], inputs, math.prod(x.shape[2:]))))
    if call["bias"] is not None:
        result = paired(call, "add", result, call.lowering.view(call, call["bias"]).reshaped((out, 1)))
    return result.reshaped(call.shape)


def _added(call, x, bias):
    from .elements import paired

    return paired(call, "add", x, bias)


@operator("linear")
def linear(call):
    x, weight = call.view("input").opened(), call["weight"]
    bias, added = _bias(call, call["bias"])
    if x.images and x.batch == len(x.shape) - 1:
        call.refuse("mixes the images of a batch", "keep the axis of the batch in front")
    read = x.arranged()
    shape = call.graph.shape(read)
    if call.graph.nodes[read].images and len(shape) == 4 and shape[0] == 1:
        # Pixels with their channels behind them are places in a row.
        shape = (1, shape[1] * shape[2], shape[3])
        read = x._as(read, shape)
    out = call.shape[-1]
    node = _layer(call, "linear", [read], (*shape[:-1], out), [weight, bias], out=out, bias=bias is not None)
    result = call.of(node, (*x.shape[:-1], out), x.batch).reshaped(call.shape)
    return result if added is None else _added(call, result, added)


@operator("batch_norm")
def batch_norm(call):
    x = call.view("input")
    if not x.images:
        call.refuse("normalises weights", PLAIN)
    names = [call.lowering.buffers.get(argument) for argument in call.node.args if hasattr(argument, "users")]
    names = [name for name in names if name]
    if call["running_mean"] is None or len(names) < 2:
        call.refuse("has no running statistics", "leave `track_running_stats` at True")
    if not call["training"]:
        call.refuse("does not use the statistics of the batch while it trains", "leave it in training mode: `model.train()`")
    named = names[0].removesuffix(".running_mean") if "." in names[0] else ""
    if (call["weight"] is None) != (call["bias"] is None):
        call.refuse("has a scale without a shift, or a shift without a scale", "give it both, or `affine=False`")
    read = x.arranged()
    node = _layer(
        call, "batch-norm", [read], call.graph.shape(read), [call["weight"], call["bias"]], names[:2], named,
        eps=float(call["eps"]), momentum=float(call["momentum"]), affine=call["weight"] is not None,
    )  # fmt: skip
    return call.of(node, x.shape, x.batch)


def _of_last_axes(call, op, **attributes):
    x, count = call.view("input").opened(), len(call["normalized_shape"])
    if x.images and x.batch >= len(x.shape) - count:
        call.refuse("normalises over the images of a batch", "keep the axis of the batch in front")
    read = x.arranged()
    parameters = [call["weight"], call["bias"]]
    eps = call["eps"] if call["eps"] is not None else torch.finfo(torch.float32).eps
    node = _layer(call, op, [read], call.graph.shape(read), parameters, axes=count, eps=float(eps),
                  weight=call["weight"] is not None, **attributes)  # fmt: skip
    return call.of(node, x.shape, x.batch).reshaped(call.shape)


@operator("layer_norm")
def layer_norm(call):
    return _of_last_axes(call, "layer-norm", bias=call["bias"] is not None)


@operator("rms_norm")
def rms_norm(call):
    return _of_last_axes(call, "rms-norm")


@operator("group_norm", "instance_norm")
def group_norm(call):
    x = call.view("input")
    if call["running_mean"] is not None:
        call.refuse("has running statistics", "leave `track_running_stats` at False")
    if (call["weight"] is None) != (call["bias"] is None):
        call.refuse("has a scale without a shift, or a shift without a scale", "give it both, or `affine=False`")
    read = x.arranged()
    groups = call["num_groups"] or x.shape[1]
    node = _layer(call, "group-norm", [read], call.graph.shape(read), [call["weight"], call["bias"]],
                  groups=groups, eps=float(call["eps"]), affine=call["weight"] is not None)  # fmt: skip
    return call.of(node, x.shape, x.batch)


@operator("prelu")
def prelu(call):
    x = call.view("self")
    read = x.arranged()
    slopes = call["weight"].tensor.numel() if isinstance(call["weight"], Parameter) else 0
    node = _layer(call, "prelu", [read], call.graph.shape(read), [call["weight"], None], slopes=slopes)
    return call.of(node, x.shape, x.batch)
