"""The steps that measure: rates of training steps alone, beside PyTorch and beside each other, and what a step is made of."""

import csv
import re
import time

from shell import Failed

NETWORKS = "resnet,resnetb,vgg-16,resnet-18"
# Beside PyTorch: measuring its convolutions first, as it does, takes a minute for all four.
PEERS = "resnet,resnetb"
# Launches that are profiled: one step of ResNet-20 and what comes with it.
LAUNCHES = 420
SKIPPED = 1500


def rows(lines):
    """The lines of a table of rates."""
    return [re.sub(r" {2,}", "  ", line) for line in lines if line.rstrip().endswith(("images/s", "times"))]


def bench(shell, batch, networks, precisions, environment=None):
    """`tombola bench step`: its rows."""
    if shell.place.small:
        networks, precisions, batch = "resnet", "fp32", 8
    line = f"bench step --network {networks} --precision {precisions} --batch-size {batch} --no-record --device {shell.place.device}"
    found = rows(shell.tombola(line, more=environment).lines)
    wished = len(networks.split(",")) * len(precisions.split(","))
    if len(found) != wished:
        raise Failed(f"{len(found)} rows, expected {wished}", found)
    return f"{wished} rates", found


def rates(batch, precisions):
    """A step on images that lie ready, one training at a time."""
    return lambda shell: bench(shell, batch, NETWORKS, precisions)


def eager(shell):
    """The same without graphs: what capturing is worth."""
    return bench(shell, 128, "resnet,resnet-18", "fp32,bf16", environment={"TOMBOLA_CUDA_GRAPHS": "no"})


def tried(variable):
    """The same in a way that may be faster and is not the usual one."""
    return lambda shell: bench(shell, 128, "resnet,resnet-18", "fp32,tf32,bf16", environment={variable: "yes"})


def deterministic(shell):
    """Whole trainings with and without `--deterministic`, side by side in one step."""
    place = shell.place
    size, epochs = (400, 1) if place.small else (40_000, 3)
    depth = 8 if place.small else 20
    shown = []
    for name, more in (("free", ""), ("kept", " --deterministic")):
        shell.tombola(
            f"run --network resnet --depth {depth} --dataset synthetic --synthetic-shape 3,32,32 --synthetic-size {size} --priter 0 "
            f"--quiet --batch-size 128 --precision bf16 --epochs {epochs} --workers 1 --device {place.device} --out order-{name}{more}"
        )
        with open(shell.folder / f"order-{name}/timing.csv", newline="", encoding="utf-8") as file:
            shown.append(f"{name}: {sum(float(row['images_per_second']) for row in csv.DictReader(file)):.0f} images/s")
    return "resnet-20 bf16, batch 128, evaluation within", shown


def peers(shell):
    """PyTorch's step, eager and captured whole."""
    place = shell.place
    words = [place.folder / "peer.py", place.folder / "peers", 128, *PEERS.split(",")]
    # Without a GPU it says so, once it has found all that it needs.
    ended = shell.call(place.python, *words, codes=(0,) if place.on_gpu() else (1,))
    if not place.on_gpu() and not ended.having("finds no GPU"):
        raise Failed("the peer does not start", ended.lines[-8:])
    return "PyTorch, one process", [line for line in ended.lines if line.endswith("images/s") or "as a graph" in line]


def workers(shell):
    """Whole trainings, evaluation included, as many as workers, by the threads of one process."""
    place = shell.place
    size, epochs, counts = (400, 1, (1, 2)) if place.small else (40_000, 3, (1, 2, 4, 8))
    depth = 8 if place.small else 20
    shown, first = [], 0.0
    for count in counts:
        seeds = ",".join(map(str, range(1, count + 1)))
        ended = shell.tombola(
            f"run --network resnet --depth {depth} --dataset synthetic --synthetic-shape 3,32,32 --synthetic-size {size} "
            f"--priter 0 --quiet --batch-size 128 --precision bf16 --augment crop-flip --epochs {epochs} --seed {seeds} "
            f"--workers {count} --device {place.device} --out by-{count}"
        )
        with open(shell.folder / f"by-{count}/timing.csv", newline="", encoding="utf-8") as file:
            found = [float(row["images_per_second"]) for row in csv.DictReader(file)]
        first = first or sum(found)
        together = f"{sum(found):.0f} images/s together, {sum(found) / first:.2f} times one"
        shown.append(f"{count} workers: {together}; {ended.seconds:.1f} s in all")
    return "resnet-20 bf16, batch 128, crops and flips, evaluation within", shown


def tune(shell, environment=None):
    """Steps of as many processes as are best, by `tombola tune`."""
    place = shell.place
    seconds, network = (0.2, "lenet-5") if place.small else (1.5, "resnet")
    line = f"tune --ranks --device {place.device} --network {network} --precision bf16 --batch-size 128 --seconds {seconds}"
    ended = shell.tombola(line, more=environment)
    best = ended.having("Best:")
    return (best[-1] if best else "no best number"), [line for line in ended.lines if re.match(r"^ +\d+ ", line)]


def mps(shell):
    """The same under the Multi-Process Service, which is started for it and ended after it."""
    control = shell.place.tool("nvidia-cuda-mps-control")
    if control is None:
        return "not measured: there is no nvidia-cuda-mps-control", []
    own = {"CUDA_MPS_PIPE_DIRECTORY": str(shell.folder / "pipe"), "CUDA_MPS_LOG_DIRECTORY": str(shell.folder / "log")}
    daemon = shell.begin(control, "-f", more=own)
    try:
        time.sleep(1.0)
        return tune(shell, own)
    finally:
        daemon.end()


def kernels(shell):
    """Each kernel of one eager step of ResNet-20 in bf16, alone on the GPU: what a replayed step cannot be faster than."""
    place = shell.place
    profiler = place.tool("ncu")
    if profiler is None or not place.on_gpu():
        return "not profiled: there is no ncu, or no GPU", []
    # The clocks stay as they are: they are not ours to set.
    options = "--target-processes all --clock-control none --cache-control none"
    options += f" --metrics gpu__time_duration.sum --launch-skip {SKIPPED} --launch-count {LAUNCHES} --csv --page raw"
    line = "bench step --network resnet --precision bf16 --batch-size 128 --no-record --device " + place.device
    words = [profiler, *options.split(), *place.tombola, *line.split()]
    ended = shell.call(*words, more={"TOMBOLA_CUDA_GRAPHS": "no"}, codes=None)
    table = [line for line in ended.lines if line.startswith('"')]
    if len(table) < 3:
        raise Failed(f"ncu ended with {ended.code} and no table", ended.lines[-8:])
    names, units, *launches = csv.reader(table)
    name, duration = names.index("Kernel Name"), names.index("gpu__time_duration.sum")
    factor = {"ns": 1e-3, "nsecond": 1e-3, "us": 1.0, "usecond": 1.0, "ms": 1e3}.get(units[duration], 1.0)
    times = {}
    for launch in launches:
        short = re.sub(r"^void |at::native::|\(anonymous namespace\)::", "", launch[name]).split("(")[0][:90]
        count, total = times.get(short, (0, 0.0))
        times[short] = (count + 1, total + float(launch[duration].replace(",", "")) * factor)
    whole = sum(total for _, total in times.values())
    largest = sorted(times.items(), key=lambda item: -item[1][1])[:18]
    shown = []
    for short, (count, total) in largest:
        shown.append(f"{total:8.1f} us {100 * total / whole:4.0f} % in {count:3} launches of {short}")
    return f"{len(launches)} launches take {whole:.0f} us, {whole / len(launches):.2f} us each", shown
