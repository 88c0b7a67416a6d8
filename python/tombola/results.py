"""A results folder: its tables as data frames, its tickets, and how far it is.

The tables are made from the journal by the program, into a folder for temporary files, when the folder is opened: those that
lie in a results folder may be some seconds older than a sweep that runs, and nothing is written there.
"""

import io
import json
import os
import pathlib
import tempfile

from . import program, table
from .error import TombolaError
from .ticket import Ticket


class Results:
    """What `tombola.open` gives. Tables stay as they were when the folder was opened; `refresh` reads it again."""

    def __init__(self, folder):
        self.folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        self.refresh()

    def refresh(self):
        """Reads the folder again, and gives itself."""
        with tempfile.TemporaryDirectory(prefix="tombola-") as place:
            # The table that the program prints for people: `print(results)`.
            self._shown = program.call("tables", self.folder, "--out", place)
            self._files = {path.stem: path.read_bytes() for path in sorted(pathlib.Path(place).glob("*.csv"))}
        self._tables = {}
        return self

    @property
    def names(self):
        """The names of the tables, for `table`."""
        return list(self._files)

    def table(self, name):
        """A table by its name, such as `results`. Changes to a data frame stay: it is the same one the next time."""
        if name not in self._tables:
            if name not in self._files:
                raise TombolaError(f"there is no table `{name}`\n\nhint: the tables are {', '.join(self.names)}", 2)
            self._tables[name] = table.read(io.BytesIO(self._files[name]))
        return self._tables[name]

    @property
    def results(self):
        """A row for each trial and level."""
        return self.table("results")

    @property
    def summary(self):
        """Means, deviations and intervals over seeds."""
        return self.table("summary")

    @property
    def hamming(self):
        """How far the masks of each two epochs of a training are from each other."""
        return self.table("hamming")

    @property
    def tickets(self):
        """Each early bird: when it was drawn, and the epochs that this saved."""
        return self.table("tickets")

    @property
    def barrier(self):
        """Loss and accuracy on the line between a ticket and its fork."""
        return self.table("barrier")

    @property
    def overlap(self):
        """What the masks of two tickets have in common, against chance."""
        return self.table("overlap")

    @property
    def timing(self):
        """Time, place and attempts of each training."""
        return self.table("timing")

    def epochs(self, which=None):
        """The table of epochs: all of it, that of a trial (its dense training and each level), or of a training by its name.

        In the rows of a trial the column `trial` names that trial, also where its training is shared with others.
        """
        rows = self.table("epochs")
        if which is None:
            return rows
        found = self._rows(which)
        rows = rows[rows["stage"].isin(found["stage"])].reset_index(drop=True)
        return rows if isinstance(which, str) else rows.assign(trial=int(which)).astype({"trial": "Int64"})

    def curves(self, value="validation_accuracy"):
        """A column of the table of epochs with a curve for each training: a row an epoch, columns (trial, level, stage)."""
        rows = self.table("epochs")
        if value not in rows.columns:
            raise TombolaError(f"there is no curve `{value}`\n\nhint: the curves are {', '.join(rows.columns[4:])}", 2)
        return rows.pivot(index="epoch", columns=["trial", "level", "stage"], values=value).sort_index(axis=1)

    def ticket(self, which, level=None):
        """The training of a trial, at its last level unless one is given, or the one whose name begins with a text."""
        rows = self._rows(which)
        if level is not None:
            there = [int(known) for known in rows["level"]]
            rows = rows[rows["level"] == level]
            if rows.empty:
                raise TombolaError(f"`{which}` has no level {level}\n\nhint: its levels are {', '.join(map(str, there))}", 2)
        return Ticket(self, rows.iloc[-1])

    def _rows(self, which):
        """The rows of a trial by its number, or of one training by the beginning of its name."""
        rows = self.results
        if isinstance(which, str):
            found = rows[rows["stage"].str.startswith(which)] if which else rows[:0]
            if found["stage"].nunique() == 1:
                return found[:1]
        else:
            found = rows[rows["trial"] == int(which)]
            if found.empty:
                known = rows["trial"]
                raise TombolaError(
                    f"there is no trial {which} in `{self.folder}`\n\nhint: {known.nunique()} trials have numbers from {known.min()} to {known.max()}; a text means the name of a training",
                    2,
                )
            return found
        # There is none, or several: the program says which.
        program.call("explain", self.folder, which)
        raise TombolaError(f"`{which}` is in `{self.folder}`, but was not when it was opened\n\nhint: call `refresh()`", 2)

    def status(self):
        """How far the sweep is, who trains what, what failed: what `tombola status --json` tells, at this moment."""
        return json.loads(program.call("status", self.folder, "--json"))

    def __str__(self):
        return self._shown

    def __repr__(self):
        rows = self.results
        states = rows.drop_duplicates("stage")["state"].value_counts()
        told = ", ".join(f"{count} {state}" for state, count in states.items())
        return f"<tombola results {self.folder}: {rows['trial'].nunique()} trials, trainings: {told}>"

    def _repr_html_(self):
        # In a cell of a notebook: what it is, and the means.
        from html import escape

        return f"<p>{escape(repr(self)[1:-1])}</p>{self.summary.to_html(max_rows=20, max_cols=20, notebook=True)}"
