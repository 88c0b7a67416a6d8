#!/usr/bin/env python3
"""Runs Tombola on a machine that has a Python with torch, and nothing else of what Tombola needs to be built.

    python3 run.py                             all usual steps, on the GPU
    python3 run.py --only gpu,quickstart       these
    python3 run.py --list                      what there is
    python3 run.py --device cpu                does everything start? A rehearsal on a machine without a GPU, with little data

Each step prints a line when it ends, each test of a test program too, and the run goes on after a failure. `--out` gets two files:
`log.txt` with everything that the steps' commands printed, and `record.json`, written anew after each step. The exit code is 0 if no
step failed.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import signal
import sys
import threading
import time
import traceback

import place
import steps
from shell import Failed, Log, Running, Shell, cut

# A step is not begun with less time left than this, or its limit if that is shorter.
LEAST = 8.0
# Kept from the whole time: the end of the last commands, and the summary.
RESERVE = 8.0


class Run:
    """Steps one after another, some at the same time, within a time for all."""

    def __init__(self, where, out, seconds, together):
        self.where, self.together = where, together
        self.begun = time.monotonic()
        self.deadline = self.begun + seconds - RESERVE
        self.log = Log(out / "log.txt")
        self.path = out / "record.json"
        self.done = []
        # What runs now, and what it has told so far.
        self._told = {}
        self._lock = threading.RLock()
        # Limits end commands. This ends a step that hangs without one.
        self._last = threading.Timer(seconds, self.give_up)
        self._last.daemon = True
        self._last.start()

    def left(self):
        return self.deadline - time.monotonic()

    def all(self, chosen):
        waiting = list(chosen)
        while waiting:
            group = [waiting.pop(0)]
            while group[0].together and waiting and waiting[0].together:
                group.append(waiting.pop(0))
            with concurrent.futures.ThreadPoolExecutor(self.together) as pool:
                list(pool.map(self.one, group))

    def one(self, step):
        limit = min(step.limit, self.left())
        if limit < min(LEAST, step.limit):
            self.note(step, "left out", 0.0, "no time was left", [])
            return
        begun = time.monotonic()
        with self._lock:
            self._told[step] = []
        try:
            tell = lambda *said: self.tell(step, *said)  # noqa: E731
            what, lines = step.work(Shell(step.name, limit, self.where, self.log, tell))
            verdict = "ok"
        except Failed as failure:
            verdict, what, lines = "FAILED", str(failure), failure.lines
        except Exception as error:  # A defect of a step costs that step, not the time on the machine.
            trace = traceback.format_exc().splitlines()
            verdict, what, lines = "FAILED", f"the step itself has a defect: {error!r}", trace[-6:]
        self.note(step, verdict, time.monotonic() - begun, what, lines)

    def tell(self, step, verdict, name, seconds, what, lines):
        """One test of a step."""
        with self._lock:
            self.show(verdict, name, seconds, what, cut(lines))
            found = {"test": name, "verdict": verdict, "seconds": round(seconds, 2), "what": what, "lines": cut(lines)}
            self._told.setdefault(step, []).append(found)

    def note(self, step, verdict, seconds, what, lines):
        """A step that has ended."""
        with self._lock:
            self.show(verdict, step.name, seconds, what, lines)
            self.log.write(step.name, f"{verdict}: {what}")
            found = {"step": step.name, "asks": step.asks, "verdict": verdict, "seconds": round(seconds, 2), "what": what}
            told = self._told.pop(step, [])
            self.done.append({**found, "lines": list(lines), **({"tests": told} if told else {})})
            self.save()

    def show(self, verdict, name, seconds, what, lines):
        said = f"  {what}" if what else ""
        print(f"{verdict:8} {seconds:6.1f} s  {name}{said}", *(f"    {line}" for line in lines), sep="\n", flush=True)

    def save(self):
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "kernel": platform.release()}
        torch = {"torch": self.where.torch_version, "python": platform.python_version(), "device": self.where.device}
        record = {"kit": self.where.facts, "machine": {**machine, **torch}, "steps": self.done}
        # Whole at any time: the machine may be gone before the run ends.
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        new.replace(self.path)

    def summary(self):
        self._last.cancel()
        words, failed = [], 0
        for verdict in ("ok", "FAILED", "left out"):
            names = [one["step"] for one in self.done if one["verdict"] == verdict]
            failed += len(names) if verdict == "FAILED" else 0
            if names:
                words.append(f"{len(names)} {verdict}" + ("" if verdict == "ok" else f" ({', '.join(names)})"))
        tests = [test["verdict"] for one in self.done for test in one.get("tests", [])]
        if tests:
            words.append(f"{tests.count('ok')} of {len(tests)} tests ok")
        print(f"\n{'; '.join(words)}, in {time.monotonic() - self.begun:.0f} s", flush=True)
        return 1 if failed else 0

    def give_up(self):
        """The whole time is over, and something still runs."""
        Running.kill_all()
        with self._lock:
            for step in list(self._told):
                self.note(step, "FAILED", step.limit, "still ran when the whole time was over", [])
            self.summary()
            self.where.leave()
            # Threads that hang would keep the process.
            os._exit(1)


def choose(only):
    """The steps that were asked for, in the order of the list."""
    if only is None:
        return [step for step in steps.ALL if step.usual]
    names = only.split(",")
    unknown = set(names) - {step.name for step in steps.ALL}
    if unknown:
        known = ", ".join(step.name for step in steps.ALL)
        sys.exit(f"error: no step is called {', '.join(sorted(unknown))}; there are {known}")
    return [step for step in steps.ALL if step.name in names]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="M", help="time for all steps; 5 unless given")
    parser.add_argument("--out", type=pathlib.Path, default="kit-results", metavar="FOLDER", help="for the log and the record")
    parser.add_argument("--only", metavar="NAMES", help="steps to run, separated by commas")
    parser.add_argument("--list", action="store_true", help="list the steps and what they ask")
    parser.add_argument("--python", metavar="PATH", help="a Python with torch, if not the one that runs this")
    parser.add_argument("--together", type=int, default=6, metavar="N", help="test programs that run at the same time")
    return parser.parse_args()


def main():
    asked = arguments()
    if asked.list:
        for step in steps.ALL:
            print(f"{step.name:12} {step.limit:4.0f} s  {'' if step.usual else '(by --only) '}{step.asks}")
        return 0
    chosen = choose(asked.only)
    asked.out.mkdir(parents=True, exist_ok=True)
    # From here on an end by TERM removes what was made, as one by Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: stopped by TERM"))
    where = place.Place(asked.python, asked.device)
    try:
        run = Run(where, asked.out, asked.minutes * 60, asked.together)
        print(f"kit of {where.facts['commit'][:12]}, torch {where.torch_version} of {where.torch}, on {asked.device}", flush=True)
        run.all(chosen)
        return run.summary()
    finally:
        Running.kill_all()
        where.leave()


if __name__ == "__main__":
    sys.exit(main())
