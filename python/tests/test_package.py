"""The package by itself: what it imports, how it finds libtorch, how it reads files. Needs NumPy and pandas, and no sweep.

`PYTHONPATH=python python3 -m unittest discover python/tests`; `tests/program/wheel.rs` runs these with those of `test_results.py`.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy

import tombola
from tombola import command, files, libtorch, table


def loaded_by(line):
    """The modules that a fresh Python has after a line."""
    code = f"{line}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


class Folder(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)


class Imports(unittest.TestCase):
    def test_importing_is_free_of_numpy_pandas_and_torch(self):
        self.assertFalse({"numpy", "pandas", "torch", "subprocess"} & loaded_by("import tombola"))

    def test_the_command_imports_nothing_that_takes_time(self):
        slow = {"numpy", "pandas", "torch", "subprocess", "json", "importlib.metadata", "tempfile", "re"}
        # What this Python imports at each start is not the command's doing.
        self.assertFalse(slow & (loaded_by("import tombola.command") - loaded_by("pass")))


class Libtorch(Folder):
    def torch(self, version, library=True):
        folder = self.folder / "torch"
        (folder / "lib").mkdir(parents=True)
        (folder / "version.py").write_text(f"from typing import Optional\n__version__ = '{version}'\ncuda = None\n")
        if library:
            (folder / "lib/libtorch_cpu.so").touch()
        return folder

    def find(self):
        with mock.patch.object(sys, "path", [str(self.folder)]), mock.patch.dict(sys.modules):
            sys.modules.pop("torch", None)
            return libtorch.find()

    def refused(self, *words):
        with self.assertRaises(tombola.TombolaError) as caught:
            self.find()
        for word in [*words, "hint: ", "pip install"]:
            self.assertIn(word, str(caught.exception))
        self.assertEqual(caught.exception.code, 3)

    def test_it_is_found_whatever_it_was_compiled_for(self):
        folder = self.torch("2.11.0+cu130")
        (folder / "__init__.py").write_text("raise SystemExit('torch was imported')")
        self.assertEqual(self.find(), str(folder))

    def test_another_version_is_refused(self):
        self.torch("2.10.0")
        self.refused("is 2.10.0", "needs torch 2.11.0")

    def test_a_longer_number_is_another_version(self):
        self.torch("2.11.01")
        self.refused("is 2.11.01")

    def test_without_torch_it_says_which_python_that_is(self):
        self.refused("has no torch", sys.executable)

    def test_a_torch_without_its_library_is_refused(self):
        self.torch("2.11.0", library=False)
        self.refused("no lib/libtorch_cpu.so")

    def test_libraries_of_nvidia_lie_beside_torch(self):
        folder = self.torch("2.11.0")
        for name in ("nvidia/cu13/lib", "nvidia/cudnn/lib", "nvidia/nothing/include"):
            (self.folder / name).mkdir(parents=True)
        with mock.patch.object(sys, "path", [str(self.folder)]):
            found = libtorch.library_folders(str(folder))
        self.assertEqual(found, [str(self.folder / name) for name in ("torch/lib", "nvidia/cu13/lib", "nvidia/cudnn/lib")])


class Command(Folder):
    def test_only_verbs_that_compute_look_for_torch(self):
        for line in ("", "--version", "status x", "plan x", "run --help", "export x 1 --out a.onnx", "init run"):
            self.assertFalse(command.needs_libtorch(line.split()), line)
        for line in ("run", "run x.toml --quiet", "doctor", "export x 1 --out a.pt", "export x 1 --kind torchscript --out a"):
            self.assertTrue(command.needs_libtorch(line.split()), line)

    def test_the_loader_looks_at_libtorch_first_and_then_where_it_did(self):
        with (
            mock.patch.object(libtorch, "find", return_value="/t/torch"),
            mock.patch.object(libtorch, "library_folders", return_value=["/t/torch/lib", "/t/nvidia/cu13/lib"]),
        ):
            for before, after in ((None, ""), ("", ""), ("/mpi/lib", ":/mpi/lib")):
                with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": before or ""}):
                    found = command.environment(["run"])["LD_LIBRARY_PATH"]
                self.assertEqual(found, f"/t/torch/lib:/t/nvidia/cu13/lib{after}")

    def test_without_torch_the_other_verbs_run_with_the_variables_that_were_there(self):
        with mock.patch.object(libtorch, "find", side_effect=AssertionError("torch was looked for")):
            with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": "/own"}):
                self.assertEqual(command.environment(["tables", "x"])["LD_LIBRARY_PATH"], "/own")

    def test_jobs_call_the_command_and_not_the_program(self):
        own = self.folder / "tombola"
        own.write_text("#!/bin/sh\n")
        own.chmod(0o755)
        with mock.patch.object(sys, "argv", [str(own), "slurm"]):
            self.assertEqual(command.environment(["slurm"])["TOMBOLA_COMMAND"], str(own))
        with mock.patch.object(sys, "argv", ["/x/tombola/__main__.py", "slurm"]), mock.patch.dict(os.environ):
            os.environ.pop("TOMBOLA_COMMAND", None)
            self.assertNotIn("TOMBOLA_COMMAND", command.environment(["slurm"]))

    def test_a_missing_program_is_told_with_the_cure(self):
        with mock.patch.dict(os.environ, {"TOMBOLA_PROGRAM": str(self.folder)}):
            with self.assertRaisesRegex(tombola.TombolaError, "is no program\n\nhint: name the program"):
                tombola.program.path()


class Files(Folder):
    def write(self, header, values):
        text = json.dumps(header).encode()
        path = self.folder / "a.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + values)
        return path

    def test_every_type_is_read(self):
        weights = numpy.arange(6, dtype="<f4").reshape(2, 3) / 3
        mask = numpy.array([True, False, True])
        halves = numpy.array([1.5, -2.0], dtype="<f4")
        parts = [
            ("weight", "F32", weights.shape, weights.tobytes()),
            ("mask", "BOOL", mask.shape, mask.tobytes()),
            ("count", "I64", (), (2**40).to_bytes(8, "little")),
            ("half", "BF16", halves.shape, (halves.view("<u4") >> 16).astype("<u2").tobytes()),
            ("empty", "F64", (0, 4), b""),
        ]
        header, values = {"__metadata__": {"stage": "a1"}}, b""
        for name, kind, shape, data in parts:
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(values), len(values) + len(data)]}
            values += data
        arrays, metadata = files.safetensors(self.write(header, values))
        self.assertEqual(metadata, {"stage": "a1"})
        numpy.testing.assert_array_equal(arrays["weight"], weights)
        numpy.testing.assert_array_equal(arrays["mask"], mask)
        numpy.testing.assert_array_equal(arrays["half"], halves)
        self.assertEqual((arrays["count"].item(), arrays["empty"].shape), (2**40, (0, 4)))
        self.assertTrue(all(array.flags.writeable and array.flags.aligned for array in arrays.values()))

    def test_a_file_that_ends_early_is_damaged(self):
        header = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
        for path in (self.write(header, b"1234"), self.write([], b"")):
            with self.assertRaisesRegex(tombola.TombolaError, "no safetensors file, or damaged"):
                files.safetensors(path)


class Tables(Folder):
    def test_a_column_has_its_type_whatever_is_in_it(self):
        path = self.folder / "a.csv"
        path.write_text('stage,seed,level,learning-rate,nesterov,train-limit,network,best_mean\n007,18446744073709551615,1,1,true,auto,NA,\n"a, b",2,,1e-12,,7,nan,0.5\n')
        frame = table.read(path)
        kinds = ["string", "UInt64", "Int64", "float64", "boolean", "Int64", "string", "float64"]
        self.assertEqual([str(kind) for kind in frame.dtypes], kinds)
        self.assertEqual(list(frame["stage"]), ["007", "a, b"])
        self.assertEqual(frame["seed"][0], 2**64 - 1)
        self.assertEqual(list(frame["network"]), ["NA", "nan"])
        self.assertEqual(frame["learning-rate"][1], 1e-12)
        empty = [(name, row) for name in frame for row in (0, 1) if frame[name].isna()[row]]
        self.assertEqual(empty, [("level", 1), ("nesterov", 1), ("train-limit", 0), ("best_mean", 0)])

    def test_a_table_without_rows_has_types_too(self):
        path = self.folder / "a.csv"
        path.write_text("stage,level,distance\n")
        frame = table.read(path)
        self.assertEqual([str(kind) for kind in frame.dtypes], ["string", "Int64", "float64"])
        self.assertEqual(len(frame), 0)


if __name__ == "__main__":
    unittest.main()
