"""Images of long or short waves as SciPy and Pillow make them: filters.py FOLDER.

Writes into FOLDER what it filters (`N.image`, bytes `[height, width, channels]`) and what comes out (`N.filtered`). Prints JSON: for each
image its filter, sigma and sizes. With --record instead of FOLDER it prints the values that `crates/data/src/filter/tests.rs` holds.
"""

import json
import pathlib
import sys

import numpy
from PIL import Image
from scipy import ndimage

FILTERS, SIGMAS = ("low-pass", "high-pass"), (0.5, 1.0, 3.0)
# Even and odd sides, more rows than columns and more columns than rows, the sizes of known sets.
SIZES = ((8, 8), (9, 9), (7, 12), (12, 5), (28, 28), (32, 32), (1, 6), (6, 1), (33, 20))


def filtered(image, kind, sigma):
    """Of bytes `[height, width, channels]`."""
    channels = image.shape[2]
    grey = image[:, :, 0] if channels == 1 else numpy.asarray(Image.fromarray(image).convert("L"))
    grey = grey.astype(numpy.float64)
    low = numpy.fft.ifft2(ndimage.fourier_gaussian(numpy.fft.fft2(grey), sigma)).real
    left = low if kind == "low-pass" else grey - low
    left = (left - left.min()) / (left.max() - left.min())
    return numpy.repeat((left * 255).astype(numpy.uint8)[:, :, None], channels, axis=2)


def images(random, height, width, channels):
    """Noise, a soft field with a bright square, and bars of two levels, of which many places have the same surroundings."""
    yield random.integers(0, 256, (height, width, channels), dtype=numpy.uint8)
    rows, columns = numpy.mgrid[:height, :width]
    soft = 90 + 60 * numpy.sin(rows / 3)[:, :, None] * numpy.cos(columns / 4 + 1)[:, :, None] * numpy.linspace(0.5, 1, channels)
    soft[: max(height // 3, 1), : max(width // 2, 1)] += 70
    yield soft.astype(numpy.uint8)
    bars = numpy.where((columns + 2 * rows) % 5 < 2, 200, 17)
    yield numpy.repeat(bars[:, :, None], channels, axis=2).astype(numpy.uint8)


def main():
    if sys.argv[1] == "--record":
        for channels in (1, 3):
            # Numbers that need no generator.
            image = numpy.arange(4 * 5 * channels).reshape(4, 5, channels) ** 2 % 251
            for kind in FILTERS:
                found = filtered(image.astype(numpy.uint8), kind, 0.75)
                print(channels, kind, found[:, :, 0].ravel().tolist())
        return
    folder, random, cases = pathlib.Path(sys.argv[1]), numpy.random.default_rng(11), []
    for height, width in SIZES:
        for channels in (1, 3):
            for look, image in zip(("noise", "soft", "bars"), images(random, height, width, channels), strict=True):
                for kind in FILTERS:
                    for sigma in SIGMAS:
                        name = str(len(cases))
                        (folder / f"{name}.image").write_bytes(image.tobytes())
                        (folder / f"{name}.filtered").write_bytes(filtered(image, kind, sigma).tobytes())
                        cases.append({"name": name, "filter": kind, "sigma": sigma, "look": look, "size": [channels, height, width]})
    print(json.dumps(cases))


if __name__ == "__main__":
    main()
