"""Starts the program, in one process or as ranks, kills some of it at random, and starts it again, until a sweep is done."""

import os
import pathlib
import signal
import subprocess
import time

# Longest that anything may take: from a kill to the end of all that it was to end, or from a start to its end.
PATIENCE, LONGEST = 60, 300

SETTINGS_OF_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    # More ranks than cores.
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    # Containers forbid what this would use, and Open MPI complains.
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


class Problem(Exception):
    """A defect, in words."""


class Run:
    """One sweep in a folder of its own, by so many ranks; 0: no MPI."""

    def __init__(self, program, folder, text, ranks, random):
        self.program, self.folder, self.ranks, self.random = program, pathlib.Path(folder), ranks, random
        self.text, self.kills, self.longest, self.starts = text, [], 0.0, 0
        self.begin()

    def begin(self):
        """With nothing trained yet."""
        subprocess.run(["rm", "-rf", "--", self.folder], check=True)
        self.folder.mkdir(parents=True)
        (self.folder / "sweep.toml").write_text(self.text, encoding="utf-8")

    @property
    def results(self):
        return self.folder / "results" / "sweep"

    def journal(self):
        """How far it is."""
        try:
            return (self.results / "journal").stat().st_size
        except OSError:
            return 0

    def start(self, slow=None, recovery=False, more=()):
        """A process of it, or of its launcher."""
        environment = os.environ | {"HOME": str(self.folder), "RUST_BACKTRACE": "1"}
        command = [self.program, "run", "sweep.toml", "--quiet", *more]
        if self.ranks:
            options = ["--enable-recovery"] if recovery else []
            command = ["mpirun", "-np", str(self.ranks), "--bind-to", "none", *options, *command]
            environment |= SETTINGS_OF_MPI
        if slow:
            environment["TOMBOLA_SLOW"] = f"{self.random.randrange(2**32)}:{slow}"
        self.starts += 1
        with open(self.folder / "said", "ab") as said:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def victims(self, process):
        """The processes of the ranks, by rank."""
        if not self.ranks:
            return {0: process.pid}
        found = {}
        for child in children(process.pid):
            rank = variable(child, "OMPI_COMM_WORLD_RANK")
            if rank is not None:
                found[int(rank)] = child
        return found

    def finish(self, slow=None):
        """Without harm, to the end; gives the exit code."""
        process = self.start(slow)
        return self.wait(process, LONGEST, "a start that nobody disturbed")

    def wait(self, process, longest, what):
        begun = time.monotonic()
        try:
            return process.wait(longest)
        except subprocess.TimeoutExpired:
            self.end(process)
            raise Problem(f"{what} hangs: it has not ended after {longest} s") from None
        finally:
            self.longest = max(self.longest, time.monotonic() - begun)

    def end(self, process):
        """Kills all of it."""
        own = list(self.victims(process).values())
        for victim in own:
            kill(victim)
        process.kill()
        process.wait()
        for victim in own:
            kill(victim)
            until(lambda victim=victim: not alive(victim), PATIENCE, "a killed rank goes on")

    def disturb(self, whole, left, slow):
        """A start that is killed at a random moment. `left` kills are to come in what is left of a journal of `whole` bytes.
        False if it came to its end before."""
        recovery = self.ranks > 1 and self.random.random() < 0.4
        more = self.options()
        process = self.start(slow, recovery, more)
        begun, now = time.monotonic(), self.journal()
        if self.random.random() < 0.15:
            moment = begun + self.random.random()
            reached = lambda: time.monotonic() >= moment
        else:
            goal = now + max(0, whole - now) * self.random.random() / left
            reached = lambda: self.journal() > goal
        while not reached():
            if process.poll() is not None:
                return False
            if time.monotonic() - begun > LONGEST:
                self.end(process)
                raise Problem(f"a start comes to nothing in {LONGEST} s")
            time.sleep(0.002)
        time.sleep(self.random.random() * 0.03)
        return self.strike(process, recovery)

    def options(self):
        """What may not change a result."""
        if not self.ranks:
            return ["--workers", str(self.random.randint(1, 3))]
        # So short that a busy machine may take a rank that is slow for a lost one: one more thing to survive.
        more = ["--lease", "2"]
        if self.random.random() < 0.3:
            more += ["--coordinator", "dedicated"]
        return more

    def strike(self, process, recovery):
        victims = self.victims(process)
        if process.poll() is not None or not victims:
            # mpirun has not started any yet, or all is over.
            if process.poll() is not None:
                return False
            self.end(process)
            self.kills.append("launcher")
            return True
        rank = self.random.choice(sorted(victims))
        if self.ranks and self.random.random() < 0.6:
            kill(victims[rank])
            self.kills.append(f"rank {rank}" + (" of those that go on" if recovery else ""))
            if recovery and self.random.random() < 0.5:
                # The others go on for a while, and are killed too, or come to the end of the sweep.
                try:
                    process.wait(self.random.random() * 4)
                except subprocess.TimeoutExpired:
                    self.end(process)
                return True
            # Those that go on have all of the sweep to do.
            self.wait_for_the_others(process, victims, recovery, rank)
            for victim in victims.values():
                until(lambda victim=victim: not alive(victim), PATIENCE, "a rank goes on without its launcher")
            return True
        self.end(process)
        self.kills.append("all")
        return True

    def wait_for_the_others(self, process, victims, recovery, rank):
        """Until the start ends by itself after the kill of a rank. Open MPI's launcher may stay when all ranks are gone
        (`PMIX ERROR: BAD-PARAM` in `pmix_event_notification.c`, with `--enable-recovery`): then it is ended and counted."""
        what = f"the start after the kill of rank {rank}"
        begun, empty_since = time.monotonic(), None
        while process.poll() is None:
            now = time.monotonic()
            if now - begun > (LONGEST if recovery else PATIENCE):
                there = [rank for rank, victim in victims.items() if alive(victim)]
                self.end(process)
                raise Problem(f"{what} hangs: ranks {there} are there after {now - begun:.0f} s")
            if any(alive(victim) for victim in victims.values()):
                empty_since = None
            elif empty_since is None:
                empty_since = now
            elif recovery and now - empty_since > 10:
                self.end(process)
                self.kills[-1] += ", whose launcher stayed"
            time.sleep(0.02)
        self.longest = max(self.longest, time.monotonic() - begun)

    def kill_and_resume(self, kills, whole, slow):
        """Until it is done, killed at least so many times; gives the exit code."""
        for attempt in range(8):
            self.kills = []
            while len(self.kills) < kills:
                if not self.disturb(whole, kills - len(self.kills) + 1, slow):
                    break
            else:
                return self.finish(slow)
            # It came to its end too soon: again, more slowly.
            self.begin()
            slow *= 1.5
        raise Problem(f"it always ends before {kills} kills")


def children(process):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def variable(process, name):
    """Of the environment of a process."""
    try:
        lines = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    found = [line.split(b"=", 1)[1].decode() for line in lines if line.startswith(name.encode() + b"=")]
    return found[0] if found else None


def alive(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def until(condition, longest, what):
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > longest:
            raise Problem(f"{what}, after {longest} s")
        time.sleep(0.005)
