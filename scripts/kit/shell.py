"""Commands of a step: each with a limit, in a process group of its own, every line of their output in one log.

A step calls `Shell.call` for a command that has to end, and `Shell.begin` for one that it wants to kill.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

# Lines that a failure shows, and characters of each: a machine that is lent shows the end of the output only.
SHOWN_LINES = 12
SHOWN_CHARACTERS = 180
# A step that prints more than this is cut in the log, so that one step cannot push out all others.
LOGGED_BYTES = 1_500_000
# Seconds from the polite signal to the other one.
GRACE = 3.0


class Failed(Exception):
    """A step found something wrong: what, and the lines that show it."""

    def __init__(self, what, lines=()):
        super().__init__(what)
        self.lines = cut(lines)


def cut(lines):
    """Lines as they are shown."""
    return [line[:SHOWN_CHARACTERS] for line in lines]


class Log:
    """One file for the output of all steps, each line behind the name of its step."""

    def __init__(self, path):
        self._file = open(path, "w", encoding="utf-8", errors="replace")
        self._lock = threading.Lock()
        self._bytes = {}

    def close(self):
        self._file.close()

    def write(self, name, line):
        with self._lock:
            written = self._bytes.get(name, 0)
            self._bytes[name] = written + len(line)
            if written > LOGGED_BYTES:
                return
            if written + len(line) > LOGGED_BYTES:
                line = "(the rest of this step's output is left out)"
            self._file.write(f"{name}| {line}\n")
            self._file.flush()


class Running:
    """A command that runs, and what it has printed so far."""

    # Of all steps, for `kill_all`.
    _all = set()

    def __init__(self, words, environment, folder, hear):
        self.begun = time.monotonic()
        self.lines = []
        self._process = subprocess.Popen(
            words,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A group of its own: a limit has to end what the command has started, too.
            start_new_session=True,
        )
        Running._all.add(self)
        self._reader = threading.Thread(target=self._read, args=(hear,), daemon=True)
        self._reader.start()

    def _read(self, hear):
        with self._process.stdout as printed:
            for line in printed:
                text = line.decode("utf-8", "replace").rstrip()
                self.lines.append(text)
                hear(text)

    def wait(self, seconds):
        """The exit code, or None where it still runs after `seconds`."""
        try:
            code = self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return None
        # What the command left behind in its group may hold the pipe.
        self._reader.join(1.0)
        self._signal(signal.SIGKILL)
        self._reader.join(1.0)
        Running._all.discard(self)
        return code

    def end(self):
        """Asks it to end, then ends it."""
        self._signal(signal.SIGTERM)
        if self.wait(GRACE) is None:
            self.kill()

    def kill(self):
        """Ends it and all that it has started at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        self.wait(GRACE)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    @classmethod
    def kill_all(cls):
        """Ends the commands of all steps: the run itself has to end."""
        for running in list(cls._all):
            running.kill()


class Ended:
    """A command that has ended."""

    def __init__(self, lines, code, seconds):
        self.lines, self.code, self.seconds = lines, code, seconds

    def having(self, word):
        """The lines that have a word in them."""
        return [line for line in self.lines if word in line]


class Shell:
    """What one step runs its commands by, until its deadline.

    `tell` takes what a step has to say before its end, such as one test of many: verdict, name, seconds, and lines.
    """

    def __init__(self, name, limit, place, log, tell=lambda *_: None):
        self.name, self.place, self.tell = name, place, tell
        self._deadline = time.monotonic() + limit
        self._say = lambda line: log.write(name, line)
        # Steps that run at the same time have a folder each.
        self.folder = place.work / name
        self.folder.mkdir(exist_ok=True)

    def left(self):
        """Seconds that the step has left."""
        return self._deadline - time.monotonic()

    def begin(self, *words, more=None, heard=lambda _: None):
        """Starts a command; `more` are further variables of its environment, and `heard` gets each line that it prints."""
        words = [str(word) for word in words]
        self._say("$ " + " ".join(words))
        environment = {**self.place.environment, **(more or {})}

        def hear(line):
            self._say(line)
            heard(line)

        try:
            return Running(words, environment, self.folder, hear)
        except OSError as error:
            raise Failed(f"cannot start `{words[0]}`: {error.strerror}") from error

    def call(self, *words, more=None, codes=(0,)):
        """Runs a command to its end. One that ends with another code than `codes`, or not in time, is a failure."""
        running = self.begin(*words, more=more)
        code = running.wait(self.left())
        seconds = time.monotonic() - running.begun
        what = spoken(words)
        if code is None:
            running.end()
            self._say(f"(ended after {seconds:.1f} s)")
            raise Failed(f"`{what}` had not ended after {seconds:.0f} s", running.lines[-SHOWN_LINES:])
        self._say(f"(exit code {code} after {seconds:.1f} s)")
        if codes is not None and code not in codes:
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise Failed(f"`{what}` {ended}", running.lines[-SHOWN_LINES:])
        return Ended(running.lines, code, seconds)

    def tombola(self, line, more=None, codes=(0,)):
        """`tombola LINE`, by the command of the wheel; words are separated by spaces."""
        return self.call(*self.place.tombola, *line.split(), more=more, codes=codes)


def spoken(words):
    """What a command is called in a message: its name and its first word, `tombola run` for the module of a Python."""
    name, *rest = map(str, words)
    if rest[:2] == ["-m", "tombola"]:
        name, rest = "tombola", rest[2:]
    return " ".join([pathlib.Path(name).name, *rest[:1]])
