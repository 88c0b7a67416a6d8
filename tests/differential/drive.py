"""Random sweeps, each run in one process and left alone, in one process with kills, and on ranks with kills: the same bytes?

    drive.py --program TOMBOLA --folder FOLDER [--count N] [--seed SEED] [--python PYTHON] [--jobs N] [--only NUMBER]

Sweep NUMBER of a seed is always the same (`sweeps.py`), and so are the numbers that decide on kills; the moments are those of
the machine. What the first run left is then recomputed (`tests/outside/recompute.py`) by PYTHON, which needs NumPy, SciPy and
safetensors.

FOLDER/record.jsonl has a line for each sweep. Sweeps that stand there, done by the same program, are not done again. The folder of
a sweep with a difference stays. Exit code 1 if there is one.
"""

import argparse
import collections
import concurrent.futures
import csv
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import sweeps
from runs import Problem, Run

HERE = pathlib.Path(__file__).resolve().parent
# Trainings of a sweep, and seconds that the plan may guess: many different ones, none long.
TRAININGS, SECONDS = range(4, 17), 2
# What may differ between two runs.
OWN = {"timing.csv", "log", "lock", "journal", "journal.end", "sweep.toml"}
# Ranks of each way to run a sweep; 0: one process without MPI.
WAYS = {"killed": 0, "two-ranks": 2, "four-ranks": 4}


class Driver:
    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = pathlib.Path(arguments.folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.program = str(pathlib.Path(arguments.program).resolve())
        self.version = identity(self.program)
        self.record, self.lock = self.folder / "record.jsonl", threading.Lock()

    def known(self):
        """Sweeps that are done, by number."""
        found = {}
        for line in self.record.read_text(encoding="utf-8").splitlines() if self.record.exists() else []:
            entry = json.loads(line)
            if entry["seed"] == self.arguments.seed and entry["program"] == self.version:
                found[entry["sweep"]] = entry
        return found

    def draw(self, number):
        """The text of a sweep, and how many were drawn in vain: refused by the program, or of another size."""
        refused, unfit = 0, 0
        folder = self.folder / f"{self.arguments.seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for attempt in range(1000):
            text = sweeps.sweep(f"{self.arguments.seed} {number} {attempt}")
            (folder / "sweep.toml").write_text(text, encoding="utf-8")
            ran = subprocess.run(
                [self.program, "plan", "sweep.toml"], cwd=folder, capture_output=True, text=True, check=False
            )
            if ran.returncode != 0:
                if ran.returncode != 2:
                    raise Problem(f"`plan` ends with {ran.returncode}: {ran.stderr}")
                refused += 1
            elif fits(ran.stdout):
                return folder, text, refused, unfit
            else:
                unfit += 1
        raise Problem("no sweep of the right size in a thousand")

    def sweep(self, number):
        begun = time.monotonic()
        folder, text, refused, unfit = self.draw(number)
        entry = {"seed": self.arguments.seed, "sweep": number, "program": self.version, "refused": refused, "unfit": unfit}
        random = lambda what: sweeps.Draw(f"{self.arguments.seed} {number} {what}")
        alone = Run(self.program, folder / "alone", text, 0, random("alone"))
        code = alone.finish()
        if code not in (0, 1):
            raise Problem(f"undisturbed: exit code {code}: {alone.folder / 'said'}")
        entry |= {"code": code, "trainings": count(alone.results), "kills": [], "files": 0}
        expected, whole = contents(alone.results), alone.journal()
        for way, ranks in WAYS.items():
            run = Run(self.program, folder / way, text, ranks, random(way))
            ended = run.kill_and_resume(2 + (run.random.random() < 0.3), whole, run.random.choice([0.02, 0.1, 0.3]))
            if ended != code:
                raise Problem(f"{way}: exit code {ended}, undisturbed {code}: {run.folder / 'said'}")
            difference = compare(expected, contents(run.results))
            if difference:
                raise Problem(f"{way}, after kills of {run.kills}: {difference}")
            entry["kills"] += [f"{way}: {kill}" for kill in run.kills]
            entry["longest"] = round(max(entry.get("longest", 0), run.longest), 1)
            entry["files"] += len(expected)
        if self.arguments.python:
            entry["compared"] = self.recompute(alone.results)
        entry["seconds"] = round(time.monotonic() - begun, 1)
        shutil.rmtree(folder)
        return entry

    def recompute(self, results):
        script = HERE.parent / "outside" / "recompute.py"
        ran = subprocess.run(
            [self.arguments.python, "-B", script, results], capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise Problem(f"computed again: {(ran.stderr or ran.stdout).strip()}")
        return json.loads(ran.stdout)

    def judged(self, number):
        """A line of the record, of a problem too."""
        try:
            entry = self.sweep(number)
        except Problem as problem:
            entry = {"seed": self.arguments.seed, "sweep": number, "program": self.version, "problem": str(problem)}
        with self.lock, open(self.record, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return entry

    def run(self):
        numbers = [self.arguments.only] if self.arguments.only else range(1, self.arguments.count + 1)
        known = {} if self.arguments.only else self.known()
        entries = [known[number] for number in numbers if number in known and "problem" not in known[number]]
        with concurrent.futures.ThreadPoolExecutor(self.arguments.jobs) as pool:
            left = [number for number in numbers if number not in {entry["sweep"] for entry in entries}]
            for entry in pool.map(self.judged, left):
                entries.append(entry)
                self.tell(entry)
        return self.summary(entries)

    def tell(self, entry):
        number = entry["sweep"]
        if "problem" in entry:
            again = f"scripts/differential --only {number} {self.arguments.seed}"
            print(f"sweep {number}: DIFFERENCE: {entry['problem']}\n  {self.folder}/{entry['seed']}-{number}; again: {again}", flush=True)
        else:
            kills = len(entry["kills"])
            print(f"sweep {number}: {entry['trainings']} trainings, {kills} kills, equal, {entry['seconds']} s", flush=True)

    def summary(self, entries):
        good = [entry for entry in entries if "problem" not in entry]
        compared, missed, kills = collections.Counter(), collections.Counter(), collections.Counter()
        for entry in good:
            values = dict(entry.get("compared", {}))
            missed.update(values.pop("not compared", {}))
            compared.update(values)
            kills.update(re.sub(r"rank \d", "a rank", kill) for kill in entry["kills"])
        total = lambda key: sum(entry[key] for entry in good)
        print(f"\n{len(entries)} sweeps, {total('trainings')} trainings, {sum(kills.values())} kills, {total('files')} files compared")
        print(f"{total('refused')} sweeps refused by the program and {total('unfit')} of another size were drawn again")
        print(f"longest wait: {max([entry['longest'] for entry in good], default=0)} s; program {self.version}")
        for title, counts in (("kills", kills), ("computed again, and equal", compared), ("not computed again", missed)):
            if counts:
                print(f"{title}:")
                for name, number in sorted(counts.items()):
                    print(f"  {number:9} {name}")
        print(f"{len(entries) - len(good)} differences")
        return 1 if len(good) < len(entries) else 0


def fits(plan):
    """By what `plan` prints, whether a sweep is of the size that is wanted."""
    trainings = re.search(r"trials?: (\d+) trainings? with (\d+) epochs", plan)
    seconds = re.search(r"^About (under )?(\d+) s on one CPU core", plan, re.MULTILINE)
    return bool(trainings and seconds) and int(trainings[1]) in TRAININGS and int(seconds[2]) <= SECONDS


def count(results):
    """Trainings."""
    with open(results / "results.csv", newline="", encoding="utf-8") as file:
        return len({row["stage"] for row in csv.DictReader(file)})


def contents(results):
    """The hash of each file that must not depend on how a sweep was run."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.is_file() and name not in OWN:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare(expected, found):
    """The first that is wrong, in words."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            return f"`{name}` is missing"
        if name not in expected:
            return f"`{name}` is there, and not in the undisturbed run"
        if expected[name] != found[name]:
            return f"`{name}` differs from that of the undisturbed run"
    return None


def identity(program):
    """Some digits that another program does not have: of the part that trains."""
    path = pathlib.Path(f"{program}-torch")
    return hashlib.sha256((path if path.exists() else pathlib.Path(program)).read_bytes()).hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int)
    return Driver(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
