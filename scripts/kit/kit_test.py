#!/usr/bin/env python3
"""Tests of the kit's runner and packer, without a torch: `python3 scripts/kit/kit_test.py`."""

import base64
import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import types
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pack
import place
import programs
import run
import shell
import sweeps
from steps import Step

# A test program as libtest's are: it is asked for its list, then for some of its tests.
PROGRAM = """#!{python}
import os, sys, time
TESTS = {tests}
if "--list" in sys.argv:
    print(*(f"{{name}}: test" for name in TESTS), sep="\\n")
    sys.exit()
failed = [name for name in sys.argv if TESTS.get(name) == "FAILED"]
for name in (name for name in sys.argv if name in TESTS):
    print(f"test {{name}} ... ", end="", flush=True)
    verdict = TESTS[name]
    if verdict == "hangs":
        time.sleep(60)
    if verdict == "breaks":
        os.kill(os.getpid(), 9)
    if verdict == "warns":
        print("a library warns", flush=True)
        verdict = "ok"
    print(verdict, flush=True)
print("\\nfailures:\\n")
for name in failed:
    print(f"---- {{name}} stdout ----\\n\\nthread '{{name}}' (1) panicked at here.rs:1:2:\\none is not {{name}}\\n")
print("test result: over")
sys.exit(101 if failed else 0)
"""


class Made(unittest.TestCase):
    """Has a folder, a place to run in, and what the runner prints."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.place = types.SimpleNamespace(
            work=self.folder,
            environment=dict(os.environ),
            facts={"commit": "none"},
            torch_version="none",
            device="cpu",
            with_libraries=dict,
            program=lambda name: self.folder / name,
        )
        self.printed = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.printed))

    def shell(self, limit, tell=lambda *_: None):
        log = shell.Log(self.folder / "log.txt")
        self.addCleanup(log.close)
        return shell.Shell("step", limit, self.place, log, tell)

    def run_of(self, seconds=60.0):
        made = run.Run(self.place, self.folder, seconds, 2)
        self.addCleanup(made._last.cancel)
        self.addCleanup(made.log.close)
        return made

    def record(self):
        return json.loads((self.folder / "record.json").read_text(encoding="utf-8"))["steps"]


def gone(process):
    """Whether a process has ended, also where nobody has asked for its exit code."""
    with contextlib.suppress(OSError):
        state = pathlib.Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state in "ZX"
    return True


def checksum(data):
    """As the list of a wheel has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class Limits(Made):
    def test_a_limit_ends_what_a_command_has_started_too(self):
        begun = time.monotonic()
        with self.assertRaisesRegex(shell.Failed, "`sh -c` had not ended after") as caught:
            self.shell(0.5).call("sh", "-c", "sleep 61 & echo $!; wait")
        self.assertLess(time.monotonic() - begun, 10)
        (process,) = caught.exception.lines
        self.assertTrue(gone(process), f"process {process} still runs")

    def test_a_command_that_ignores_the_polite_signal_is_ended_all_the_same(self):
        with self.assertRaises(shell.Failed) as caught:
            self.shell(0.5).call("sh", "-c", "trap '' TERM; echo $$; while true; do sleep 0.1; done")
        self.assertTrue(gone(caught.exception.lines[0]))

    def test_the_whole_limit_ends_a_step_that_hangs_without_a_command(self):
        text = (
            "import pathlib, sys, time, types, run\nfrom steps import Step\n"
            "place = types.SimpleNamespace(work=pathlib.Path(sys.argv[1]), environment={}, facts={}, torch_version='', device='',"
            " leave=lambda: print('tidied'))\n"
            "run.RESERVE, run.LEAST = 0.0, 0.1\n"
            "made = run.Run(place, place.work, 1.0, 1)\n"
            "made.all([Step('hangs', '', lambda shell: time.sleep(60), 50)])\n"
        )
        begun = time.monotonic()
        words = [sys.executable, "-c", text, self.folder]
        ended = subprocess.run(words, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=30, check=False)
        self.assertLess(time.monotonic() - begun, 15)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("still ran when the whole time was over", ended.stdout)
        self.assertIn("tidied", ended.stdout)
        self.assertEqual([one["verdict"] for one in self.record()], ["FAILED"])

    def test_a_step_for_which_no_time_is_left_is_left_out(self):
        made = self.run_of(run.RESERVE + 1.0)
        made.all([Step("late", "", lambda shell: ("done", []), 30)])
        self.assertEqual(made.summary(), 0)
        self.assertIn("left out (late)", self.printed.getvalue())


class Steps(Made):
    def test_a_step_that_fails_or_has_a_defect_stops_no_other_and_each_is_recorded_at_once(self):
        seen = []

        def fails(_):
            raise shell.Failed("something is wrong", ["this line says what"])

        def defect(_):
            seen.append([one["step"] for one in self.record()])
            return {}["missing"]

        def last(_):
            seen.append([one["step"] for one in self.record()])
            return "all is well", ["a line"]

        made = self.run_of()
        made.all([Step("fails", "?", fails, 30), Step("defect", "?", defect, 30), Step("last", "?", last, 30)])
        self.assertEqual(seen, [["fails"], ["fails", "defect"]])
        self.assertEqual([one["verdict"] for one in self.record()], ["FAILED", "FAILED", "ok"])
        self.assertEqual(made.summary(), 1)
        self.assertRegex(self.printed.getvalue(), r"FAILED +\S+ s  fails  something is wrong\n    this line says what\n")
        self.assertIn("the step itself has a defect: KeyError('missing')", self.printed.getvalue())
        self.assertIn("1 ok; 2 FAILED (fails, defect)", self.printed.getvalue())

    def test_names_that_are_no_steps_are_refused_with_those_that_are(self):
        with self.assertRaisesRegex(SystemExit, "no step is called nothing; there are machine, doctor"):
            run.choose("doctor,nothing")
        self.assertEqual([step.name for step in run.choose("doctor,machine")], ["machine", "doctor"])
        names = [step.name for step in run.steps.ALL]
        self.assertEqual(len(names), len(set(names)))


class Programs(Made):
    def told(self, tests, limit=30.0):
        """What the step says of a program with these tests: the verdict of each, and how it ended."""
        path = self.folder / "tests"
        path.write_text(PROGRAM.format(python=sys.executable, tests=tests), encoding="utf-8")
        path.chmod(0o755)
        verdicts, whys = {}, {}

        def tell(verdict, name, _, what, lines):
            self.assertNotIn(name, verdicts, "told twice")
            verdicts[name], whys[name] = verdict, (what, lines)

        try:
            what, _ = programs.tests("tests", "a::")(self.shell(limit, tell))
        except shell.Failed as failure:
            what = str(failure)
        return verdicts, whys, what

    def test_each_test_has_a_line_and_those_of_other_modules_do_not_run(self):
        verdicts, _, what = self.told({"a::one": "ok", "a::two": "warns", "b::other": "FAILED"})
        self.assertEqual((verdicts, what), ({"a::one": "ok", "a::two": "ok"}, "2 tests"))

    def test_a_failed_test_says_where_and_why(self):
        verdicts, whys, what = self.told({"a::one": "FAILED", "a::two": "ok"})
        self.assertEqual((verdicts, what), ({"a::one": "FAILED", "a::two": "ok"}, "1 of 2 tests failed"))
        self.assertEqual(whys["a::one"], ("here.rs:1:2", ["one is not a::one"]))

    def test_a_test_that_breaks_its_program_costs_itself_alone(self):
        verdicts, whys, what = self.told({"a::one": "ok", "a::two": "breaks", "a::three": "ok"})
        self.assertEqual(verdicts, {"a::one": "ok", "a::two": "FAILED", "a::three": "ok"})
        self.assertEqual(what, "1 of 3 tests failed")
        self.assertEqual(whys["a::two"][0], "signal 9 ended the program")

    def test_a_test_that_hangs_costs_itself_alone(self):
        self.addCleanup(setattr, programs, "TEST_LIMIT", programs.TEST_LIMIT)
        programs.TEST_LIMIT = 1.0
        verdicts, whys, _ = self.told({"a::one": "hangs", "a::two": "ok"})
        self.assertEqual(verdicts, {"a::one": "FAILED", "a::two": "ok"})
        self.assertEqual(whys["a::one"][0], "had not ended after 1 s")

    def test_the_limit_of_the_step_leaves_the_others_out(self):
        verdicts, _, what = self.told({"a::one": "hangs", "a::two": "ok"}, limit=1.5)
        self.assertEqual(verdicts, {"a::one": "FAILED", "a::two": "left out"})
        self.assertEqual(what, "1 of 2 tests failed, 1 did not run")


class Memory(Made):
    def test_what_each_training_leaves_taken_is_asked_of_the_driver_while_they_run(self):
        log = self.folder / "out/forty/log"
        log.parent.mkdir(parents=True)
        driver = self.folder / "nvidia-smi"
        driver.write_text(f"#!/bin/sh\necho $((1000 + 100 * $(grep -c started {log}))), 81559\n", encoding="utf-8")
        driver.chmod(0o755)
        trains = f"for seed in 1 2 3 4 5 6; do echo training $seed started now >> {log}; sleep 0.6; done"
        self.place.environment["PATH"] = f"{self.folder}:{self.place.environment['PATH']}"
        self.place.small, self.place.tombola = False, ["sh", "-c", trains]
        self.place.on_gpu, self.place.tool = (lambda: True), (lambda name: name)
        what, lines = sweeps.forty(self.shell(30.0))
        each = re.search(r"40 trainings .*; each leaves ([\d.]+) MiB taken$", what)
        self.assertAlmostEqual(float(each[1]), 100.0, delta=34.0)
        self.assertRegex(lines[0], r"^used with the 2\. training 1\d00 MiB, with the \d\. 1\d00 MiB, of 81559$")
        self.assertRegex(lines[1], r"^after some \d+ trainings the GPU would be full$")


class Wheels(Made):
    def wheel(self, record):
        path = self.folder / "made-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            entry = zipfile.ZipInfo("made/bin/program")
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, "#!/bin/sh\n")
            archive.writestr("made-1.0.dist-info/RECORD", f"made/bin/program,{record},10\nmade-1.0.dist-info/RECORD,,\n")
        return path

    def test_a_wheel_is_unpacked_with_its_programs_also_when_it_was_stored_anew(self):
        path = self.wheel(checksum(b"#!/bin/sh\n"))
        path.write_bytes(pack.uncompressed(path))
        place.unpack_wheel(path, self.folder / "site")
        self.assertTrue(os.access(self.folder / "site/made/bin/program", os.X_OK))

    def test_a_file_that_is_not_what_the_wheel_lists_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "`made/bin/program` in `made-1.0-py3-none-any.whl` is not what the wheel lists"):
            place.unpack_wheel(self.wheel("sha256=" + "A" * 43), self.folder / "site")

    def test_a_build_without_a_test_program_is_refused(self):
        line = json.dumps({"executable": "/built/train-1", "target": {"name": "train"}})
        with self.assertRaisesRegex(SystemExit, "no test program `tombola_train`, only `train`"):
            pack.built(["   Compiling\n", line])

    def test_the_archive_carries_every_file_of_the_runner(self):
        folder = pathlib.Path(pack.__file__).parent
        there = {path.name for path in folder.glob("*.py")} - {"pack.py", "kit_test.py"}
        self.assertEqual(set(pack.RUNNER), there)
        for name in there:
            for module in re.findall(r"^(?:import|from) (\w+)", (folder / name).read_text(encoding="utf-8"), re.M):
                self.assertTrue(f"{module}.py" in there or module in sys.stdlib_module_names or module in ("torch", "tombola"), module)


if __name__ == "__main__":
    unittest.main()
