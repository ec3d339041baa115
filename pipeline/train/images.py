"""The images as training holds them, read without TensorFlow."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays
from pipeline.core.errors import DataError

PARTS = ("train", "validation", "test")
_CHUNK = 2000  # images


class Images(NamedTuple):
    """Images and their labels, in a quarter of the memory that scaled pixels take.

    Attributes:
        levels: shape (n, 784), uint8: grey levels; divided by 255 in float32, the scaled values to the bit.
        labels: shape (n, 10), float32, one-hot.
    """

    levels: NDArray[np.uint8]
    labels: NDArray[np.float32]


def read_images(scaled: Path, part: str) -> Images:
    """Read one of `PARTS` as stage `scale` wrote it; memory holds a chunk of the file at a time.

    Raises:
        DataError: a file is missing, or is not what stage `scale` writes.
    """
    path = scaled / f"{part}_images.npy"
    labels = arrays.read(scaled / f"{part}_labels.npy", np.float32, (None, 10))
    levels = np.empty((len(labels), 784), np.uint8)
    for start in range(0, len(labels), _CHUNK):
        rows = slice(start, start + _CHUNK)
        # Mapped anew for each chunk: the pages of the last one leave the process with it.
        pixels = arrays.read(path, np.float32, (len(labels), 784), mapped=True)[rows]
        levels[rows] = to_levels(pixels, path)
    return Images(levels, labels)


def to_levels(pixels: NDArray[np.float32], path: Path) -> NDArray[np.uint8]:
    """Undo the scaling to [0, 1] without any loss.

    Args:
        pixels: each k / 255 for a whole k from 0 to 255.
        path: the file they are from, for the error.

    Raises:
        DataError: another value is among them.
    """
    levels = np.rint(pixels * 255).clip(0, 255)
    if not (levels / np.float32(255) == pixels).all():
        raise DataError(
            f"{path}: expected grey levels k / 255 with k from 0 to 255, got other values. "
            "Run `dvc repro scale` to make them again."
        )
    return levels.astype(np.uint8)
