"""Writes a network: `NAME.toml` with its operations, and `NAME.safetensors` with its weights. It may not know of PyTorch."""

import json
import os

# What a safetensors file says a float32 is.
FLOAT = "F32"


def text(graph, classes):
    """The file of a network."""
    lines = ["# A network for Tombola, written by tombola.from_torch. The weights are in the file beside it."]
    lines += ["tombola-network = 1", f"input = {_value(graph.nodes[0].shape[1:])}", f"classes = {classes}"]
    lines += _table("lists", map(_value, graph.lists))
    constants = (f"{{ axes = {_value(axes)}, values = {_value(values.hex())} }}" for axes, values in graph.constants)
    lines += _table("constants", constants)
    lines += _table("nodes", map(_node, graph.nodes[1:]))
    return "\n".join(lines) + "\n"


def _table(name, entries):
    entries = [f"  {entry}," for entry in entries]
    return [f"{name} = [", *entries, "]"] if entries else []


def _node(node):
    fields = {"name": node.named, "op": node.op, "from": node.inputs, **node.attributes}
    if node.own_names:
        fields["parameters"] = node.own_names
    return _value(fields)


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A basic string of TOML is written as one of JSON.
        return json.dumps(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)


def write(path, data):
    """Puts a whole file in its place at once."""
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:
            for piece in data:
                file.write(piece)
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def safetensors(tensors):
    """The pieces of a file of float32 arrays, in the order of their names."""
    header, position = {}, 0
    for name, array in sorted(tensors.items()):
        header[name] = {"dtype": FLOAT, "shape": list(array.shape), "data_offsets": [position, position + array.nbytes]}
        position += array.nbytes
    about = json.dumps(header, separators=(",", ":")).encode()
    # Values begin at a multiple of eight.
    about += b" " * (-len(about) % 8)
    yield len(about).to_bytes(8, "little")
    yield about
    for _, array in sorted(tensors.items()):
        yield array.tobytes()
