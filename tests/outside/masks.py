"""Prints what NumPy finds in an archive of masks: a line of JSON, for each array its ones and its shape."""

import json
import sys

import numpy


def main():
    arrays = numpy.load(sys.argv[1])
    assert all(arrays[name].dtype == bool for name in arrays.files)
    print(json.dumps({name: [int(arrays[name].sum()), list(arrays[name].shape)] for name in arrays.files}))


if __name__ == "__main__":
    main()
