"""Runs exported networks, each by the program that its form is for, and tells how far their scores are from those expected.

    operations.py TEST FILE...

TEST is a safetensors file with `images` and `scores`. Prints a line of JSON: for each FILE the largest difference, as a share of the largest score.
"""

import json
import sys

import numpy
from safetensors.numpy import load_file


def python(path):
    import importlib.util

    import torch

    spec = importlib.util.spec_from_file_location("ticket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    network.train()(torch.zeros(2, *module_input(path)))
    # Running statistics have moved.
    network = module.load()
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def module_input(path):
    """The sizes of one image, as the first words of the file say them."""
    with open(path) as file:
        words = file.read(2000).partition("[images, ")[2].partition("]")[0]
    return [int(size) for size in words.split(",")]


def script(path):
    import torch

    network = torch.jit.load(path).eval()
    return lambda images: network(torch.from_numpy(images)).detach().numpy()


def onnx(path):
    import onnx as form
    import onnxruntime

    form.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["scores"], {"images": images})[0]


READERS = {"py": python, "pt": script, "onnx": onnx}


def main():
    test, *paths = sys.argv[1:]
    test = load_file(test)
    images, scores = test["images"], test["scores"]
    found = {}
    for path in paths:
        network = READERS[path.rsplit(".", 1)[1]](path)
        # In parts of different sizes: no form may be for one number of images.
        given = numpy.concatenate([network(numpy.ascontiguousarray(part)) for part in (images[:1], images[1:])])
        found[path] = float(abs(given - scores).max() / abs(scores).max())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
