"""The peer of `benches/hamming.rs`: all pairs of the masks in a NumPy file, as anybody would write it.

Prints the seconds that it took (reading not counted), then the sum of all distances, the first and the last.
"""

import sys
import time

import numpy as np


def all_pairs(masks):
    """Distances of 1 and 0, 2 and 0, 2 and 1, and so on."""
    distances = []
    for later in range(1, len(masks)):
        differing = np.bitwise_count(masks[later] ^ masks[:later])
        distances.extend(differing.sum(axis=1, dtype=np.int64).tolist())
    return distances


def main():
    rows = np.load(sys.argv[1])
    # Whole words where the rows are long enough; the rest are zeros.
    width = -(-rows.shape[1] // 8) * 8
    masks = np.zeros((rows.shape[0], width), np.uint8)
    masks[:, : rows.shape[1]] = rows
    masks = masks.view(np.uint64)
    begun = time.perf_counter()
    distances = all_pairs(masks)
    print(time.perf_counter() - begun)
    print(sum(distances), distances[0], distances[-1])


if __name__ == "__main__":
    main()
