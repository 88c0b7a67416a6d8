"""Counts the test images that exported tickets classify correctly, each by the program that its form is for.

    tickets.py TEST FILE...

TEST is a safetensors file with `pixels` (bytes in [0, 1], other numbers as they are; images, signals or rows) and `labels`: what they are normalised by is in each FILE. Prints a line of JSON: for each FILE the count.
"""

import importlib.util
import json
import sys

import numpy
from safetensors import safe_open
from safetensors.numpy import load_file


def by(mean, std):
    mean, std = (numpy.array(values, dtype=numpy.float32) for values in (mean, std))

    def normalised(pixels):
        shape = (-1,) + (1,) * (pixels.ndim - 2)
        return (pixels - mean.reshape(shape)) / std.reshape(shape)

    return normalised


def python(path):
    import torch

    spec = importlib.util.spec_from_file_location("ticket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    with safe_open(path.removesuffix(".py") + ".safetensors", "numpy") as weights:
        assert [json.loads(weights.metadata()[name]) for name in ("mean", "std")] == [module.MEAN, module.STD]
    return lambda pixels: network(module.normalised(torch.from_numpy(pixels))).detach().numpy()


def script(path):
    import torch

    more = {"normalisation.json": ""}
    network = torch.jit.load(path, _extra_files=more).eval()
    normalised = by(**json.loads(more["normalisation.json"]))
    return lambda pixels: network(torch.from_numpy(normalised(pixels))).detach().numpy()


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    known = session.get_modelmeta().custom_metadata_map
    normalised = by(json.loads(known["mean"]), json.loads(known["std"]))
    return lambda pixels: session.run(["scores"], {"images": normalised(pixels)})[0]


READERS = {"py": python, "pt": script, "onnx": onnx}


def main():
    test, *paths = sys.argv[1:]
    test = load_file(test)
    found = {}
    for path in paths:
        network, hits = READERS[path.rsplit(".", 1)[1]](path), 0
        # In parts of different sizes: no form may be for one size of batch.
        for part in (slice(0, 60), slice(60, 100)):
            scores = network(numpy.ascontiguousarray(test["pixels"][part]))
            hits += int((scores.argmax(1) == test["labels"][part]).sum())
        found[path] = hits
    print(json.dumps(found))


if __name__ == "__main__":
    main()
