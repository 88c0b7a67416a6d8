"""Reads the files that tickets are written to, with nothing but NumPy: safetensors and archives of arrays.

It may not know of sweeps.
"""

import json

import numpy

from .error import TombolaError

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def safetensors(path):
    """The arrays of a file by name, and its metadata. NumPy has no bfloat16: such arrays come as float32."""
    contents = numpy.fromfile(path, dtype=numpy.uint8)
    try:
        length = int.from_bytes(contents[:8].tobytes(), "little")
        header = json.loads(contents[8 : 8 + length].tobytes())
        metadata = header.pop("__metadata__", {})
        values = contents[8 + length :]
        return {name: _array(values, entry) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError) as error:
        raise TombolaError(f"`{path}` is no safetensors file, or damaged: {error}", 2) from error


def _array(values, entry):
    start, end = entry["data_offsets"]
    part = values[start:end]
    if len(part) != end - start:
        raise ValueError(f"it ends before byte {end} of its values")
    if entry["dtype"] == "BF16":
        # The upper half of a float32.
        array = (part.view("<u2").astype("<u4") << 16).view("<f4")
    else:
        array = part.view(_TYPES[entry["dtype"]])
    # A copy of its own: writable, aligned, and without keeping the whole file in memory.
    return numpy.array(array.reshape(entry["shape"]))


def arrays(path):
    """The arrays of an archive of NumPy by name."""
    with numpy.load(path) as archive:
        return {name: archive[name] for name in archive.files}
