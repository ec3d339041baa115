"""The examples as training holds them, read without TensorFlow."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays
from pipeline.core.task import Task

PARTS = ("train", "validation", "test")
_CHUNK = 1 << 20  # values


class Examples(NamedTuple):
    """Inputs and their labels.

    Attributes:
        inputs: shape (n, *shape); scaled float32, or grey levels, uint8, in a quarter of the memory: divided
            by 255 in float32, they are the scaled values to the bit.
        labels: shape (n, classes), float32, one-hot.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.float32]


def read(scaled: Path, part: str, task: Task) -> Examples:
    """Read one of `PARTS` as stage `scale` wrote it; memory holds a chunk of the file at a time.

    Raises:
        DataError: a file is missing, or is not what stage `scale` writes.
    """
    path, size = scaled / f"{part}_inputs.npy", task.sizes[part]
    labels = arrays.read(scaled / f"{part}_labels.npy", np.float32, (size, len(task.classes)))
    inputs = arrays.read(path, np.float32, (size, *task.shape), mapped=True)
    if not task.scaling.levels:
        return Examples(np.array(inputs), labels)
    levels = np.empty((size, *task.shape), np.uint8)
    rows = max(1, _CHUNK // int(np.prod(task.shape)))
    for start in range(0, size, rows):
        # Mapped anew for each chunk: the pages of the last one leave the process with it.
        chunk = arrays.read(path, np.float32, (size, *task.shape), mapped=True)[start : start + rows]
        levels[start : start + rows] = np.rint(chunk * 255)
    return Examples(levels, labels)
