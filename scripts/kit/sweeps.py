"""The steps that run sweeps by the wheel's own command: whole ones, killed ones, and many trainings in one process."""

import csv
import re
import time

from shell import SHOWN_LINES, Failed

# A difference of test accuracies that is no accident any more: some six standard deviations over 10,000 images.
ACCURACY = 0.02
# Trainings of `forty`, and how many of them `streams` trains beside each other.
FORTY = 40
BESIDE = 4
# What a rehearsal leaves of the sweeps.
SMALL = {
    "quickstart": " --network lenet-300-100 --epochs 2 --train-limit 1500",
    "early-bird": " --epochs 6 --draw early-bird,epoch:5 --early-bird-epsilon 1 --pr 0.5 --train-limit 600",
}
OPENS = """
import sys, tombola
sweep = tombola.open(sys.argv[1])
results = sweep.results
row = results.iloc[-1]
ticket = sweep.ticket(int(row["trial"]))
print(len(results), "results;", "ticket of trial", row["trial"], "with", len(ticket.weights), "arrays")
"""


def example(shell, name):
    """A sweep that the program carries, written into the folder of the step."""
    path = shell.folder / f"{name}.toml"
    if not path.exists():
        shell.tombola(f"init {path} --example {name}")
    return path


def sweep(name):
    """A sweep of the program from its beginning to its end, and its table."""

    def work(shell):
        place = shell.place
        less = SMALL[name] if place.small else ""
        ended = shell.tombola(f"run {example(shell, name)} --device {place.device} --out {place.work / 'out' / name}{less}")
        table = [line for line in ended.lines if re.search(r"\d\d\.\d\d|^method", line)]
        return f"all done in {ended.seconds:.1f} s", table[:16]

    return work


def opened(shell):
    """The quick start's results in Python, with the module of the wheel."""
    place = shell.place
    folder = place.work / "out/quickstart"
    if not folder.exists():
        return "not asked: `quickstart` did not run", []
    missing = shell.call(place.python, "-c", "import numpy, pandas", codes=None)
    if missing.code != 0:
        return "not asked: this Python has not both NumPy and pandas", []
    return shell.call(place.python, "-c", OPENS, folder).lines[-1], []


def killed(shell):
    """The quick start killed in the middle and continued: all trainings done, accuracies those of the whole run."""
    place = shell.place
    less = SMALL["quickstart"] if place.small else ""
    line = f"run {example(shell, 'quickstart')} --device {place.device} --out cut --quiet --snapshot-seconds 0{less}"
    running = shell.begin(*place.tombola, *line.split())
    log = shell.folder / "cut/log"
    # Some trainings are done, one is under way.
    while running.wait(0.05) is None and shell.left() > 0 and started(log) < 8:
        pass
    began = started(log)
    running.kill()
    if not began:
        raise Failed("nothing had started before the time was over", running.lines[-6:])
    ended = shell.tombola(line)
    found = f"killed after {began} trainings had begun, the rest took {ended.seconds:.1f} s"
    whole = place.work / "out/quickstart/results.csv"
    if not whole.exists():
        return found + "; there is no whole run to compare with", []
    ones, others = accuracies(whole), accuracies(shell.folder / "cut/results.csv")
    if ones.keys() != others.keys():
        raise Failed(f"{found}; it has {len(others)} results, the whole run {len(ones)}")
    largest = max(abs(ones[key] - others[key]) for key in ones)
    equal = sum(ones[key] == others[key] for key in ones)
    found += f"; {equal} of {len(ones)} accuracies equal to the whole run's, largest difference {100 * largest:.2f} points"
    if largest > ACCURACY:
        raise Failed(found)
    return found, []


def again(shell):
    """The same small sweep twice: which tables are the same to the byte? Today nothing promises it on a GPU."""
    place = shell.place
    size = 400 if place.small else 4000
    for name in ("one", "other"):
        shell.tombola(
            "run --network resnet --depth 8 --dataset synthetic --synthetic-shape 3,32,32 --epochs 2 --pr 0.5 --workers 1 --quiet "
            f"--synthetic-size {size} --augment crop-flip --learning-rate 0.02 --device {place.device} --out {name}"
        )
    names = ["results.csv", "epochs.csv", "summary.csv"]
    one, other = shell.folder / "one", shell.folder / "other"
    differ = [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]
    return (f"differ: {', '.join(differ)}" if differ else f"{', '.join(names)} are equal to the byte"), []


# ---- Many trainings in one process -------------------------------------------------------------------------------------


def short_trainings(shell):
    """The command that trains LeNet-300-100 forty times, one after another, and the folder of its results."""
    place = shell.place
    limit = "--train-limit 1500" if place.small else ""
    out = place.work / "out/forty"
    listed = ",".join(map(str, range(1, FORTY + 1)))
    line = (
        f"run --network lenet-300-100 --dataset fashion-mnist --learning-rate 0.05 --priter 0 --quiet {limit} --epochs 1 "
        f"--seed {listed} --workers 1 --device {place.device} --out {out}"
    )
    return line, out


def forty(shell):
    """What each training leaves taken of the GPU's memory, as the driver counts it."""
    line, out = short_trainings(shell)
    running = shell.begin(*shell.place.tombola, *line.split())
    asks = shell.place.on_gpu() and shell.place.tool("nvidia-smi") is not None
    seen = []
    while (code := running.wait(0.2)) is None:
        if shell.left() <= 0:
            running.end()
            raise Failed(f"had not ended after {time.monotonic() - running.begun:.0f} s", running.lines[-SHOWN_LINES:])
        if asks:
            seen.append((started(out / "log"), *memory(shell)))
    if code != 0:
        raise Failed(f"ended with {code}", running.lines[-SHOWN_LINES:])
    found = f"{FORTY} trainings one after another in {time.monotonic() - running.begun:.1f} s"
    # While the first one trains, libraries are still being loaded.
    seen = [one for one in seen if one[0] >= 2]
    if not asks or len(seen) < 2 or seen[0][0] == seen[-1][0]:
        return found + ("; memory was not seen" if asks else "; memory is not asked for"), []
    (first, used, whole), (last, used_then, _) = seen[0], seen[-1]
    each = (used_then - used) / (last - first)
    shown = [f"used with the {first}. training {used:.0f} MiB, with the {last}. {used_then:.0f} MiB, of {whole:.0f}"]
    if each >= 1.0:
        shown.append(f"after some {(whole - used) / each:.0f} trainings the GPU would be full")
    return f"{found}; each leaves {each:.1f} MiB taken", shown


def memory(shell):
    """Used and whole memory of the GPUs in MiB."""
    ended = shell.call("nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")
    gpus = [tuple(map(float, line.split(","))) for line in ended.lines if re.match(r"^\d+, *\d+$", line)]
    if not gpus:
        raise Failed("nvidia-smi does not tell the memory", ended.lines[:4])
    return tuple(map(sum, zip(*gpus, strict=True)))


def streams(shell):
    """A long training beside 39 short ones, by four workers; the short ones give what they gave alone."""
    place = shell.place
    line, out = short_trainings(shell)
    if not (out / "results.csv").exists():
        shell.tombola(line)
    limit = "train-limit = 1500\n" if place.small else ""
    path = shell.folder / "streams.toml"
    text = 'network = "lenet-300-100"\ndataset = "fashion-mnist"\nlearning-rate = 0.05\nprune-iterations = 0\n'
    short = ", ".join(map(str, range(2, FORTY + 1)))
    text += f"{limit}[[grid]]\nseed = 1\nepochs = 12\n[[grid]]\nseed = [{short}]\nepochs = 1\n"
    path.write_text(text, encoding="utf-8")
    ended = shell.tombola(f"run {path} --quiet --workers {BESIDE} --device {place.device} --out beside")
    ones, others = accuracies(out / "results.csv"), accuracies(shell.folder / "beside/results.csv")
    compared = [(ones[key], others[key]) for key in ones if key[0] != "1" and key in others]
    if len(compared) != FORTY - 1:
        raise Failed(f"{len(compared)} of {FORTY - 1} short trainings can be compared", ended.lines[-6:])
    largest = max(abs(one - other) for one, other in compared)
    equal = sum(one == other for one, other in compared)
    found = f"{equal} of {len(compared)} equal to alone, largest difference {100 * largest:.2f} points; {ended.seconds:.1f} s"
    if largest > ACCURACY:
        raise Failed(found)
    return found, []


def started(log):
    """How many trainings the log of a run says have started."""
    return log.read_text(encoding="utf-8").count(" started ") if log.exists() else 0


def accuracies(path):
    """Test accuracies at the last epoch, by seed, trial's level and what sets a trial apart from the others."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    apart = ("seed", "network", "level", "pruning-ratio", "prune-iterations", "reinit", "draw")
    return {
        tuple(row.get(name, "") for name in apart): float(row["last_test_accuracy"])
        for row in rows
        if row["last_test_accuracy"]
    }
