"""The test programs: a line for each test, in whatever way its program ends.

A program runs its tests one after another, because they share the GPU's libraries. One that breaks off, or whose test does not
come to an end, costs that test alone: the tests after it run in a new process.
"""

import dataclasses
import re
import time

from shell import Failed

# Seconds that one test may take; the slowest took 4 on an H100.
TEST_LIMIT = 40.0
# Lines of a failed test that are shown.
WHY = 4


@dataclasses.dataclass
class Listener:
    """Makes verdicts of the lines of a test program, as they come."""

    tell: object
    waiting: list
    # The test that runs, and since when.
    current: str | None = None
    since: float = dataclasses.field(default_factory=time.monotonic)
    failed: dict = dataclasses.field(default_factory=dict)

    def hear(self, line):
        begins = re.match(r"^test (\S+)(?: - should panic)? \.\.\. ?(.*)$", line)
        if begins:
            # Where libraries wrote into the line of a verdict, it is known from the list of failures only.
            self.current, line = begins[1], begins[2]
        if self.current and re.match(r"^(ok|FAILED|ignored\b.*)$", line):
            self._ends(line)

    def _ends(self, verdict):
        name, seconds = self.current, time.monotonic() - self.since
        self.current, self.since = None, time.monotonic()
        if name in self.waiting:
            self.waiting.remove(name)
            if verdict == "FAILED":
                # Why is printed when all tests of the program have run.
                self.failed[name] = seconds
            else:
                self.tell("ok" if verdict == "ok" else "left out", name, seconds, "" if verdict == "ok" else verdict, [])

    def breaks(self, what, lines):
        """The program is gone, or was ended: that is the fault of the test that ran."""
        name = self.current or (self.waiting[0] if self.waiting else None)
        if name in self.waiting:
            self.waiting.remove(name)
            self.tell("FAILED", name, time.monotonic() - self.since, what, lines)
        for other, seconds in self.failed.items():
            self.tell("FAILED", other, seconds, "the program broke off before it said why", [])

    def finish(self, lines):
        """The program has run all its tests."""
        why = reasons(lines)
        for name, seconds in self.failed.items():
            self.tell("FAILED", name, seconds, *why.get(name, ("it did not say why", [])))
        for name in list(self.waiting):
            if name in why:
                self.tell("FAILED", name, 0.0, *why[name])
            else:
                self.tell("ok", name, 0.0, "", [])
            self.waiting.remove(name)


def tests(program, module=""):
    """The step that runs the tests of a program, or those of one of its modules."""

    def work(shell):
        path, libraries = shell.place.program(program), shell.place.with_libraries()
        listed = shell.call(path, "--list", "--format", "terse", more=libraries)
        names = [line.removesuffix(": test") for line in listed.lines if line.startswith(module) and line.endswith(": test")]
        if not names:
            raise Failed(f"`{program}` has no tests that begin with `{module}`", listed.lines[:8])
        verdicts = {}

        def tell(verdict, name, *rest):
            verdicts[name] = verdict
            shell.tell(verdict, name, *rest)

        waiting = list(names)
        while waiting and shell.left() > 0:
            one_process(shell, path, libraries, waiting, tell)
        for name in waiting:
            tell("left out", name, 0.0, "no time was left for it", [])
        failed = [name for name in names if verdicts[name] == "FAILED"]
        if failed or waiting:
            more = f", {len(waiting)} did not run" if waiting else ""
            raise Failed(f"{len(failed)} of {len(names)} tests failed{more}")
        return f"{len(names)} test" + ("s" if len(names) > 1 else ""), []

    return work


def one_process(shell, path, libraries, waiting, tell):
    """Runs the tests that wait until they have all run, or one of them has ended the process."""
    listener = Listener(tell, waiting)
    more = {**libraries, "RUST_BACKTRACE": "0"}
    running = shell.begin(path, "--exact", *waiting, "--test-threads", 1, "--color", "never", more=more, heard=listener.hear)
    while (code := running.wait(0.1)) is None:
        seconds = time.monotonic() - listener.since
        if shell.left() > 0 and seconds < TEST_LIMIT:
            continue
        running.end()
        return listener.breaks(f"had not ended after {seconds:.0f} s", running.lines[-WHY:])
    if any(line.startswith("test result:") for line in running.lines):
        return listener.finish(running.lines)
    ended = f"signal {-code} ended the program" if code < 0 else f"the program ended with exit code {code}"
    return listener.breaks(ended, running.lines[-WHY:])


def reasons(lines):
    """What each failed test said first: by its name where, and some lines of why."""
    found = {}
    for number, line in enumerate(lines):
        name = re.match(r"^---- (\S+) stdout ----$", line)
        if name:
            after = ("---- ", "failures:", "test result:")
            end = next((at for at in range(number + 1, len(lines)) if lines[at].startswith(after)), len(lines))
            begins = next((at for at in range(number, end) if "panicked at" in lines[at]), number)
            why = [line for line in lines[begins + 1 : end] if line and not line.startswith("note: ")]
            found[name[1]] = (lines[begins].split("panicked at ")[-1].rstrip(":"), why[: WHY - 1])
    return found
