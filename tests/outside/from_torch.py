"""Networks of PyTorch and what they compute, for the tests of `tombola.from_torch`.

`from_torch.py generate FOLDER [NAMES…]` writes `FOLDER/NAME/{network.toml,weights.safetensors,case.safetensors}` for each network of
`architectures.py`. A case has `images` and `labels` of four images, `evaluation` and `training` (the outputs in both modes),
`statistics.*` (those of batch norms after that one pass) and `gradient.*` (of the mean cross entropy in training), by PyTorch in
float64.

`from_torch.py check [NAMES…]` runs the files by `network_file.py` and compares: outputs, gradients of all parameters, statistics.
Both sides compute in float64, so that a difference is one of the networks and not of rounding.

The metadata of a case has `distance`: how far the values of float32 lie from those of float64, at most.

`from_torch.py exported FOLDER` compares what was exported there; `from_torch.py names [quick]` lists the networks that come in, or those
of them that are compared each time.

The first two print a line for each network and end with exit code 1 if one was not as expected. `PYTHONPATH=python` names the package.
"""

import copy
import os
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file, save_file

import architectures
import network_file
import tombola

IMAGES = 4
# How far values of float64 may lie apart, as a share of the largest of their tensor: what a file holds is float32.
CLOSE = 1e-5


def case(model, shape, kind=torch.float32):
    """What a model computes for images that are drawn from seed 1."""
    model = copy.deepcopy(model).to(kind)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, *shape, generator=generator).to(kind)
    labels = torch.arange(IMAGES) * 3 % architectures.CLASSES
    tensors = {"images": images, "labels": labels}
    with torch.no_grad():
        tensors["evaluation"] = model.eval()(images)
    tensors["training"] = model.train()(images)
    torch.nn.functional.cross_entropy(tensors["training"], labels).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[f"gradient.{name}"] = parameter.grad
    for name, buffer in model.named_buffers():
        if name.endswith((".running_mean", ".running_var")):
            tensors[f"statistics.{name}"] = buffer
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def generate(name, folder):
    """The files of a network, its summary, and the case in float64."""
    os.makedirs(folder, exist_ok=True)
    model, shape = architectures.make(name)
    summary = tombola.from_torch(model, shape, f"{folder}/network.toml")
    os.replace(f"{folder}/network.safetensors", f"{folder}/weights.safetensors")
    tensors, exact = case(model, shape), case(model, shape, torch.float64)
    distance = max(distances(tensors, exact).values())
    save_file(exact, f"{folder}/case.safetensors", {"distance": f"{distance:.1e}"})
    return summary, exact, distance


def distances(found, expected):
    """How far values lie apart, by name, as a share of the largest of each tensor."""
    # What is left of gradients that cancel out, and means of what has none, are measured by others of their kind.
    largest = max(float(tensor.abs().max()) for name, tensor in expected.items() if name.startswith("gradient."))
    away = {}
    for name, tensor in expected.items():
        if name in ("images", "labels"):
            continue
        least = 1e-6
        if name.startswith("gradient."):
            least = 1e-2 * largest
        elif name.endswith(".running_mean"):
            least = 1e-2 * float(expected[name.replace("running_mean", "running_var")].max()) ** 0.5
        away[name] = float((found[name].detach().double() - tensor.double()).abs().max()) / max(float(tensor.abs().max()), least)
    return away


def differences(folder, expected):
    """Names of the values that differ, with how far they do; the largest distance of all."""
    network = network_file.NetworkFile(f"{folder}/network.toml", f"{folder}/weights.safetensors")
    network.to(torch.float64)
    with torch.no_grad():
        found = {"evaluation": network.run(expected["images"], False)}
    found["training"] = network.run(expected["images"], True)
    torch.nn.functional.cross_entropy(found["training"], expected["labels"]).backward()
    found.update({f"gradient.{name}": tensor.grad for name, tensor in network.parameters.items() if tensor.grad is not None})
    found.update({f"statistics.{name}": tensor for name, tensor in network.statistics.items()})
    wanted = {name for name in expected if name not in ("images", "labels")}
    if wanted != set(found):
        return {name: "only in one of both" for name in sorted(wanted ^ set(found))}, float("inf")
    away = distances(found, expected)
    wrong = {name: f"{by:.1e}" for name, by in away.items() if not by <= CLOSE or found[name].shape != expected[name].shape}
    return wrong, max(away.values())


def one(command, name, folder):
    """The line for a network, and whether it is as expected."""
    begun = time.monotonic()
    try:
        summary, exact, rounding = generate(name, folder)
    except tombola.TombolaError as error:
        known = architectures.REFUSED.get(name)
        return f"refused: {error}", known is not None and known in str(error)
    told = f"{sum(summary.operations.values())} nodes, {summary.parameters:,} parameters, float32 {rounding:.0e}"
    good = name not in architectures.REFUSED
    if command == "check":
        wrong, most = differences(folder, exact)
        good = good and not wrong
        told += f", distance {most:.1e}" + "".join(f"\n    {name}: {by}" for name, by in list(wrong.items())[:8])
    return f"{told}, {time.monotonic() - begun:.0f} s", good


def exported(folder):
    """Whether a network that was exported gives what was noted beside it: in PyTorch in float64, in ONNX Runtime in float32."""
    import importlib.util

    import onnx
    import onnxruntime

    images = load_file(f"{folder}/case.safetensors")["images"]
    expected = torch.tensor([float(line) for line in open(f"{folder}/exported.txt")], dtype=torch.float64)
    spec = importlib.util.spec_from_file_location("exported", f"{folder}/exported.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load()
    with torch.no_grad():
        plain = network.double()(images.double()).flatten()
        single = network.float()(images.float()).flatten().double()
    onnx.checker.check_model(f"{folder}/exported.onnx")
    session = onnxruntime.InferenceSession(f"{folder}/exported.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: images.float().numpy()})
    scale = float(expected.abs().max())
    by = float((plain - expected).abs().max()) / scale
    rounding = float((single - expected).abs().max()) / scale
    runtime = float((torch.from_numpy(scores).flatten().double() - expected).abs().max()) / scale
    good = by <= CLOSE and runtime <= max(1e-4, 10 * rounding)
    return "equal" if good else f"PyTorch {by:.1e}, ONNX Runtime {runtime:.1e}, float32 in PyTorch {rounding:.1e}"


def main():
    command, *arguments = sys.argv[1:]
    torch.set_num_threads(1)
    if command == "names":
        left_out = set(architectures.REFUSED) | (architectures.SLOW if arguments == ["quick"] else set())
        return print("\n".join(name for name in architectures.ARCHITECTURES if name not in left_out))
    if command == "exported":
        return print(exported(arguments[0]))
    bad = []
    with tempfile.TemporaryDirectory(prefix="tombola-") as place:
        folder, names = (arguments[0], arguments[1:]) if command == "generate" else (place, arguments)
        for name in names or architectures.ARCHITECTURES:
            told, good = one(command, name, os.path.join(folder, name))
            print(f"{'ok ' if good else 'BAD'} {name}: {told}", flush=True)
            bad += [] if good else [name]
    if bad:
        sys.exit(f"not as expected: {', '.join(bad)}")


if __name__ == "__main__":
    main()
