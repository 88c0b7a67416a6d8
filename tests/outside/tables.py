"""Reads the Parquet files and the event files of a results folder with pandas and TensorBoard, and compares them with its CSV files.

    tables.py RESULTS

Prints a line of JSON: how many tables, cells and points were compared.
"""

import json
import pathlib
import sys

import numpy
import pandas
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def same(csv, parquet):
    """Cell by cell; gives their number."""
    assert list(csv.columns) == list(parquet.columns)
    assert len(csv) == len(parquet)
    for name in csv.columns:
        one, other = csv[name], parquet[name]
        if pandas.api.types.is_numeric_dtype(one) and one.notna().any():
            assert pandas.api.types.is_numeric_dtype(other), name
            assert numpy.array_equal(one.to_numpy(float), other.to_numpy(float), equal_nan=True), name
        else:
            assert one.astype(object).where(one.notna(), None).map(str).tolist() == (
                other.astype(object).where(other.notna(), None).map(str).tolist()
            ), name
    return csv.size


def curves(folder, epochs):
    """Every curve of every training against `epochs.csv`; gives the number of points."""
    points = 0
    columns = {"learning_rate": "learning_rate"} | {
        f"{what}/{part}": f"{part}_{what}" for what in ("loss", "accuracy") for part in ("train", "validation", "test")
    }
    for stage, rows in epochs.groupby("stage"):
        (place,) = (folder / "tensorboard").glob(f"*-{stage}")
        events = EventAccumulator(str(place))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found = events.Scalars(tag)
            assert [event.step for event in found] == rows["epoch"].tolist()
            expected = rows[columns[tag]].to_numpy(numpy.float32)
            assert numpy.array_equal(numpy.array([event.value for event in found], numpy.float32), expected), (stage, tag)
            points += len(found)
    return points


def main():
    folder = pathlib.Path(sys.argv[1])
    tables, cells = 0, 0
    for path in sorted(folder.glob("*.csv")):
        cells += same(pandas.read_csv(path), pandas.read_parquet(path.with_suffix(".parquet")))
        tables += 1
    points = curves(folder, pandas.read_csv(folder / "epochs.csv", dtype={"stage": str}))
    print(json.dumps({"tables": tables, "cells": cells, "points": points}))


if __name__ == "__main__":
    main()
