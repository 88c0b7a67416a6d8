"""The steps of a kit: what each asks of the machine, in the order in which the answers matter.

A step is a function of a `Shell`. It gives one line that says what was found, and lines to show below it; what is wrong it
raises as `Failed`. Steps that stand beside each other with `together` run at the same time: they are not measured.
"""

import dataclasses
import re
from collections.abc import Callable

import measures
import sweeps
from programs import tests
from shell import Failed


@dataclasses.dataclass(frozen=True)
class Step:
    """One question to the machine."""

    name: str
    asks: str
    work: Callable
    limit: float
    together: bool = False
    # Whether it runs where no steps are named.
    usual: bool = True


def machine(shell):
    place = shell.place
    wished = ("nvcc", "ncu", "nsys", "compute-sanitizer", "nvidia-cuda-mps-control", "mpirun")
    lines = [f"tools: {', '.join(filter(place.tool, wished)) or 'none'}"]
    if not place.on_gpu():
        return "no GPU is asked for", lines
    fields = "name,memory.total,memory.free,driver_version,clocks.sm,clocks.max.sm,compute_mode,mig.mode.current"
    seen = shell.call("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")
    shell.call("nvidia-smi", codes=None)
    return "; ".join(seen.lines), lines


def doctor(shell):
    # It ends with 1 where something could be better: that is an answer, too.
    ended = shell.tombola(f"doctor --device {shell.place.device}", codes=(0, 1))
    shown = [line for line in ended.lines if re.match(r"WARN|FAIL|PASS +(program|GPUs|devices)", line)]
    return ended.lines[-1] if ended.lines else f"exit code {ended.code}", shown[:12]


def selftest(shell):
    # It knows its own limits; the whole of it must end before this step's.
    only = " --only device,steps,together,memory" if shell.place.small else ""
    minutes = max(shell.left() - 5.0, 5.0) / 60.0
    line = f"selftest --device {shell.place.device} --minutes {minutes:.2f} --records selftest{only}"
    ended = shell.tombola(line, codes=(0, 3))
    shown = [line for line in ended.lines if line.strip() and not line.startswith("Recorded")]
    if ended.code != 0:
        raise Failed("a check fails", shown)
    summary = ended.having("checks in")
    return (summary[-1] if summary else "it has no end"), shown


ALL = [
    Step("machine", "which GPU, driver and tools?", machine, 15),
    Step("doctor", "does the wheel's program start here, and which GPUs does torch see?", doctor, 40),
    Step("selftest", "does this machine train right, on each GPU, and how fast?", selftest, 170),
    Step("gpu", "are steps captured as CUDA graphs, and do they give what eager ones give?", tests("train", "gpu::"), 90, together=True),
    Step("training", "do the tests of trainings hold?", tests("train", "training::"), 60, together=True),
    Step("channels", "do the tests of channel tickets hold?", tests("train", "channels::"), 60, together=True),
    Step("criteria", "are masks those that PyTorch keeps?", tests("train", "criteria::"), 45, together=True),
    Step("units", "do the tests inside the training hold?", tests("tombola_train"), 60, together=True),
    Step("forty", "what does each training leave taken of the GPU's memory? (G2)", sweeps.forty, 45),
    Step("streams", "do trainings beside each other give what they give alone? (G3)", sweeps.streams, 45),
    Step("quickstart", "does the quick start train, and to which accuracies?", sweeps.sweep("quickstart"), 60),
    Step("python", "does the wheel's module open what was trained?", sweeps.opened, 30),
    Step("killed", "does a killed sweep go on to the same result? (compared with `quickstart`)", sweeps.killed, 60),
    Step("rates", "images a second of a step, batch 128", measures.rates(128, "fp32,tf32,bf16"), 45),
    Step("eager", "the same without graphs", measures.eager, 30),
    Step("peers", "images a second of PyTorch's step, eager and as a graph, batch 128", measures.peers, 60),
    Step("again", "are two runs of a sweep equal to the byte? (G8)", sweeps.again, 30),
    Step("early-bird", "does the early-bird sweep train, and when does it draw?", sweeps.sweep("early-bird"), 60),
    Step("workers", "images a second of 1, 2, 4 and 8 trainings by the threads of one process", measures.workers, 60),
    Step("rates-benchmark", "the same with kernels that cuDNN chose by time", measures.tried("TOMBOLA_CUDNN_BENCHMARK"), 60, usual=False),
    Step("rates-contiguous", "the same channel by channel (fp32, tf32)", measures.tried("TOMBOLA_CUDA_CONTIGUOUS"), 45, usual=False),
    Step("deterministic", "what does it cost to keep to one order of adding?", measures.deterministic, 60, usual=False),
    Step("tune", "images a second of 1 to 16 trainings by processes", measures.tune, 75, usual=False),
    Step("mps", "`tune` again, under the Multi-Process Service", measures.mps, 75, usual=False),
    Step("kernels", "which kernels is a step made of, and how long are they alone?", measures.kernels, 45, usual=False),
    Step("rates-64", "images a second of a step, batch 64", measures.rates(64, "bf16"), 30, usual=False),
    Step("rates-512", "images a second of a step, batch 512", measures.rates(512, "bf16"), 30, usual=False),
    Step("compact", "do compact networks train as the masked ones? (on the processor)", tests("train", "compact::"), 90, usual=False),
    Step("reference", "are numbers those of PyTorch? (on the processor)", tests("train", "reference::"), 90, usual=False),
    Step("fused", "do the own kernels give what libtorch gives? (on the processor)", tests("train", "kernels::"), 90, usual=False),
]
