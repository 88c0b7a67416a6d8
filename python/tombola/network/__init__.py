"""Networks of PyTorch as files that a sweep names: `tombola.from_torch(model, (3, 32, 32), "my-net.toml")`.

`export` takes the model apart, `lowering` makes Tombola's operations of PyTorch's, `file` writes them.
"""

import os

from ..error import TombolaError


def from_torch(model, input_shape, path):
    """Writes a network and its weights, `NAME.toml` and `NAME.safetensors`, and gives a summary, which prints well.

    `input_shape` is that of one image: channels, height and width (of a signal channels and length, of a row its columns). The weights are those that the model has now. What Tombola
    cannot do is refused with a `TombolaError` that names the module, the operator and the line; no file is written then.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("taking a model apart needs PyTorch, which cannot be imported") from error
    shape = _checked(torch, model, input_shape, path)

    from . import file
    from .export import exported
    from .lowering import Lowering
    from .summary import Summary

    path = os.fspath(path)
    program = exported(model, shape)
    lowering = Lowering(program, model, shape)
    last, classes = lowering.run()
    graph = lowering.graph
    graph.finish(last)
    tensors = _tensors(program, graph)
    weights = f"{path.removesuffix('.toml')}.safetensors"
    file.write(weights, file.safetensors(tensors))
    file.write(path, [file.text(graph, classes).encode()])
    return Summary(path, weights, graph, classes, tensors, _notes(model, lowering, tensors))


def _checked(torch, model, input_shape, path):
    if not isinstance(model, torch.nn.Module):
        raise TombolaError(f"found {type(model).__name__}, expected a model\n\nhint: give it a `torch.nn.Module`, with its weights", 2)
    try:
        shape = tuple(int(size) for size in input_shape)
    except TypeError:
        shape = ()
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise TombolaError(
            f"`input_shape` is {input_shape!r}, expected the channels, height and width of one image\n\n"
            "hint: `(3, 32, 32)`, without the batch; of signals `(channels, length)`, of rows of a table `(columns,)`",
            2,
        )
    if not os.fspath(path).endswith(".toml"):
        raise TombolaError(f"`{path}` is no name of a network\n\nhint: let it end in `.toml`; the weights lie beside it", 2)
    return shape


def _tensors(program, graph):
    """Arrays of all parameters, and of the statistics of norms, by their names in the model."""
    names = [name for node in graph.nodes for name in (*node.weights, *node.buffers)]
    return {name: program.state_dict[name].detach().float().cpu().contiguous().numpy() for name in names}


def _notes(model, lowering, tensors):
    """What is not as in the model."""
    notes = []
    left = [name for name, _ in model.named_parameters() if name not in tensors]
    if left:
        notes.append(f"{len(left)} parameters are not used and left out: {_some(left)}")
    folded = [name for name in dict.fromkeys(lowering.buffers.values()) if name not in tensors and not name.endswith("num_batches_tracked")]
    if folded:
        notes.append(f"{len(folded)} buffers became constants, or were not needed: {_some(folded)}")
    frozen = [name for name, tensor in model.named_parameters() if name in tensors and not tensor.requires_grad]
    if frozen:
        notes.append(f"{len(frozen)} parameters do not require a gradient and will be trained all the same: {_some(frozen)}")
    other = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in model.parameters() if str(tensor.dtype) != "torch.float32"})
    if other:
        notes.append(f"weights of {', '.join(other)} were written as float32")
    if ("log_softmax", 0) in lowering.notes:
        notes.append("`log_softmax` at the end was left out: the loss has it")
    return notes


def _some(names):
    return ", ".join(f"`{name}`" for name in names[:3]) + (", …" if len(names) > 3 else "")
