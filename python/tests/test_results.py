"""A sweep as Python sees it, against the files and the words of the program.

`TOMBOLA_TEST_SWEEP` names a results folder with `save = true` and seeds, pruned weights and channels, early birds and forks;
`tests/program/wheel.rs` makes one.
"""

import csv
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import numpy
import pandas

import tombola
from tombola import program, table

SWEEP = pathlib.Path(os.environ.get("TOMBOLA_TEST_SWEEP", ""))
TABLES = ["barrier", "epochs", "hamming", "overlap", "results", "summary", "tickets", "timing"]


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


class Sweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.environ.get("TOMBOLA_TEST_SWEEP"):
            raise unittest.SkipTest("TOMBOLA_TEST_SWEEP names no results folder")
        cls.sweep = tombola.open(SWEEP)

    def copy(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        return pathlib.Path(shutil.copytree(SWEEP, f"{place.name}/sweep"))


class Tables(Sweep):
    def test_every_cell_of_every_table_is_that_of_the_file(self):
        self.assertEqual(self.sweep.names, TABLES)
        for name in TABLES:
            with open(SWEEP / f"{name}.csv", newline="") as file:
                rows = list(csv.reader(file))
            frame = self.sweep.table(name)
            self.assertEqual(list(frame.columns), rows[0], name)
            self.assertEqual(len(frame), len(rows) - 1, name)
            self.assertGreater(len(frame), 0, name)
            for column, cells in zip(rows[0], zip(*rows[1:], strict=True), strict=True):
                for found, text in zip(frame[column], cells, strict=True):
                    self.same(found, text, table.kind(column), f"{name}, {column}")

    def same(self, found, text, kind, where):
        if text == "" or (text == "auto" and kind != table.TEXT):
            self.assertTrue(pandas.isna(found), where)
        elif kind == table.TRUTH:
            self.assertIs(bool(found), {"true": True, "false": False}[text], where)
        elif kind == table.TEXT:
            self.assertEqual(found, text, where)
        else:
            self.assertEqual(found, float(text) if kind == table.FRACTION else int(text), where)

    def test_every_column_has_a_type_of_its_own(self):
        for name in TABLES:
            for column, kind in self.sweep.table(name).dtypes.items():
                known = column in table.KINDS or column.endswith(table.STATISTICS)
                self.assertTrue(known, f"`{column}` of {name}.csv is not in python/tombola/table.py")
                self.assertEqual(str(kind), table.kind(column), f"{name}, {column}")

    def test_settings_have_the_types_of_their_defaults(self):
        lines = re.findall(r"^\| `([\w-]+)` \|[^|]*\| `([^`]*)` \| (.*) \|$", program.call("settings"), re.M)
        self.assertGreater(len(lines), 50)
        for name, usual, meaning in lines:
            if name not in self.sweep.results.columns or usual == "auto":
                continue
            kinds = [table.TEXT]
            if usual in ("true", "false"):
                kinds = [table.TRUTH]
            elif re.search(r"`\d+it`", meaning):
                kinds = [table.TEXT]
            elif "One of" not in meaning and re.fullmatch(r"\d+", usual):
                kinds = [table.WHOLE, table.SEED]
            elif "One of" not in meaning and re.fullmatch(r"[\d.e-]+", usual):
                kinds = [table.FRACTION]
            self.assertIn(table.KINDS.get(name), kinds, name)

    def test_nothing_is_written_into_the_folder_and_old_tables_are_not_needed(self):
        folder = self.copy()
        for path in folder.glob("*.csv"):
            path.unlink()
        before = listing(folder)
        sweep = tombola.open(folder)
        pandas.testing.assert_frame_equal(sweep.results, self.sweep.results)
        self.assertGreater(len(sweep.ticket(1).weights), 0)
        self.assertEqual(listing(folder), before)

    def test_a_sweep_that_was_killed_half_way_is_read(self):
        folder = self.copy()
        journal = (folder / "journal").read_bytes()
        (folder / "journal").write_bytes(journal[: len(journal) // 2])
        with self.assertRaisesRegex(tombola.TombolaError, "was cut"):
            tombola.open(folder)
        # As a kill leaves it: in the middle of a record, and without the length that the end of a run notes.
        (folder / "journal.end").unlink()
        sweep = tombola.open(folder)
        states = set(sweep.results["state"])
        self.assertTrue("done" in states and states - {"done"}, states)
        self.assertEqual(len(sweep.results), len(self.sweep.results))
        self.assertLess(sweep.status()["trainings"]["done"], self.sweep.status()["trainings"]["done"])
        (folder / "journal").write_bytes(journal)
        self.assertEqual(set(sweep.refresh().results["state"]), {"done"})

    def test_epochs_of_a_trial_are_those_of_its_trainings(self):
        rows = self.sweep.results.query("trial == 2")
        self.assertEqual(list(rows["level"]), [0, 1])
        epochs = self.sweep.epochs(2)
        self.assertEqual(set(epochs["stage"]), set(rows["stage"]))
        self.assertEqual((set(epochs["trial"]), str(epochs["trial"].dtype)), ({2}, "Int64"))
        last = rows.iloc[-1]
        own = self.sweep.epochs(last["stage"][:10])
        self.assertEqual(list(own["epoch"]), list(range(1, last["epochs"] + 1)))
        self.assertEqual(own["validation_accuracy"].iloc[-1], last["last_validation_accuracy"])
        curve = self.sweep.curves().xs(last["stage"], axis=1, level="stage").dropna()
        self.assertEqual(list(curve.iloc[:, 0]), list(own["validation_accuracy"]))

    def test_it_shows_itself(self):
        self.assertIn(str(SWEEP), repr(self.sweep))
        self.assertIn("trials, trainings: ", repr(self.sweep))
        self.assertIn("Test accuracy in %", str(self.sweep))
        self.assertIn("<table", self.sweep._repr_html_())


class Tickets(Sweep):
    def test_masks_count_what_the_table_says_and_weights_are_zero_under_them(self):
        for trial in self.sweep.results["trial"].unique():
            ticket = self.sweep.ticket(int(trial))
            alive = sum(int(mask.sum()) for mask in ticket.mask.values())
            self.assertEqual(alive, ticket.row["alive"], repr(ticket))
            for name, mask in ticket.mask.items():
                self.assertEqual((mask.dtype, mask.shape), (numpy.dtype(bool), ticket.weights[name].shape))
                self.assertFalse(ticket.weights[name][~mask].any(), name)
                self.assertFalse(ticket.initial[name][~mask].any(), name)

    def test_a_ticket_that_went_back_has_the_first_weights_of_its_dense_network(self):
        rows = self.sweep.results.query("level == 1 and reinit == 'init' and control == 'none'")
        for trial in rows["trial"]:
            ticket, dense = self.sweep.ticket(int(trial)), self.sweep.ticket(int(trial), level=0)
            self.assertIsNone(dense.mask)
            for name, mask in ticket.mask.items():
                numpy.testing.assert_array_equal(ticket.initial[name], dense.initial[name] * mask)

    def test_compact_tickets_are_smaller(self):
        (trial, *_) = self.sweep.results.query("`pruning-type` == 'structured'")["trial"]
        ticket = self.sweep.ticket(int(trial))
        sizes = [sum(array.size for name, array in ticket.read("last", form).items() if name.endswith("weight")) for form in ("masked", "compact")]
        self.assertLess(sizes[1], sizes[0])

    def test_a_state_dict_has_the_same_numbers_as_tensors(self):
        ticket = self.sweep.ticket(1)
        try:
            import torch
        except ImportError:
            with self.assertRaisesRegex(ImportError, "needs PyTorch"):
                ticket.state_dict()
            return
        tensors = ticket.state_dict()
        self.assertEqual(tensors.keys(), ticket.weights.keys())
        for name, array in ticket.weights.items():
            self.assertIsInstance(tensors[name], torch.Tensor)
            numpy.testing.assert_array_equal(tensors[name].numpy(), array)

    def test_what_is_not_there_is_refused(self):
        for ask, words in (
            (lambda: self.sweep.ticket(999), "there is no trial 999"),
            (lambda: self.sweep.ticket("zz"), "begins with `zz`"),
            (lambda: self.sweep.ticket(1, level=7), "its levels are 0, 1"),
            (lambda: self.sweep.ticket(1).read("epoch:77"), "no snapshot `epoch:77`"),
            (lambda: self.sweep.table("nothing"), "the tables are barrier"),
            (lambda: self.sweep.curves("nothing"), "the curves are learning_rate"),
        ):
            with self.assertRaises(tombola.TombolaError) as caught:
                ask()
            self.assertIn(words, str(caught.exception))
            self.assertEqual(caught.exception.code, 2)


class Refusals(Sweep):
    def refused(self, folder):
        """What Python says, after checking that the program says the same."""
        with self.assertRaises(tombola.TombolaError) as caught:
            tombola.open(folder)
        said = subprocess.run([program.path(), "tables", folder, "--out", f"{folder}-tables"], capture_output=True, text=True, check=False)
        self.assertEqual(said.stderr.strip(), f"error: {caught.exception}")
        self.assertEqual(said.returncode, caught.exception.code)
        return str(caught.exception)

    def test_a_folder_that_is_no_sweep(self):
        self.assertIn("give a results folder", self.refused(self.copy() / "stages"))

    def test_a_damaged_sweep_file(self):
        folder = self.copy()
        (folder / "sweep.toml").write_text("epochs = [")
        self.assertIn("sweep.toml", self.refused(folder))

    def test_a_journal_of_another_kind(self):
        folder = self.copy()
        (folder / "journal").write_bytes(b"something else entirely")
        self.assertIn("journal", self.refused(folder))


if __name__ == "__main__":
    unittest.main()
