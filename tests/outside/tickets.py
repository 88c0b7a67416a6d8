"""Counts the test images that exported tickets classify correctly, each by the program that its form is for.

    tickets.py TEST FILE...

TEST is a safetensors file with `images` and `labels`. Prints a line of JSON: for each FILE the count.
"""

import importlib.util
import json
import sys

import torch
from safetensors.torch import load_file


def python(path):
    spec = importlib.util.spec_from_file_location("ticket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    return lambda images: network(images)


def script(path):
    return torch.jit.load(path).eval()


def onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["scores"], {"images": images.contiguous().numpy()})[0])


READERS = {"py": python, "pt": script, "onnx": onnx}


def main():
    test, *paths = sys.argv[1:]
    test = load_file(test)
    found = {}
    for path in paths:
        network, hits = READERS[path.rsplit(".", 1)[1]](path), 0
        with torch.no_grad():
            # In parts of different sizes: no form may be for one size of batch.
            for images, labels in zip(test["images"].split([60, 40]), test["labels"].split([60, 40]), strict=True):
                hits += int((network(images).argmax(1) == labels).sum())
        found[path] = hits
    print(json.dumps(found))


if __name__ == "__main__":
    main()
