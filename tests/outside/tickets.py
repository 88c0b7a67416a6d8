"""Counts the test images that exported tickets classify correctly, each by the program that its form is for.

    tickets.py TEST FILE...

TEST is a safetensors file with `images` and `labels`. Prints a line of JSON: for each FILE the count.
"""

import importlib.util
import json
import sys

import numpy
from safetensors.numpy import load_file


def python(path):
    import torch

    spec = importlib.util.spec_from_file_location("ticket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def script(path):
    import torch

    network = torch.jit.load(path).eval()
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["scores"], {"images": images})[0]


READERS = {"py": python, "pt": script, "onnx": onnx}


def main():
    test, *paths = sys.argv[1:]
    test = load_file(test)
    found = {}
    for path in paths:
        network, hits = READERS[path.rsplit(".", 1)[1]](path), 0
        # In parts of different sizes: no form may be for one size of batch.
        for part in (slice(0, 60), slice(60, 100)):
            scores = network(numpy.ascontiguousarray(test["images"][part]))
            hits += int((scores.argmax(1) == test["labels"][part]).sum())
        found[path] = hits
    print(json.dumps(found))


if __name__ == "__main__":
    main()
