"""Checkpoints: what an unfinished run needs to go on, in a scratch folder that git and DVC ignore."""

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import files

INTERVAL = 10.0
"""Seconds between two checkpoints at least; one takes some 30 ms."""


class Content(NamedTuple):
    """Attributes:

    rows: shape (epochs, measures), float64: the history so far.
    variables: the network's and the optimizer's, in a fixed order.
    """

    rows: NDArray[np.float64]
    variables: list[NDArray[Any]]


class Checkpoint:
    """The checkpoint of one run, kept under the run's key.

    Args:
        run_key: what determines the run's outputs; a changed parameter, data set or code has another.
        processor: what computes. Another processor may round differently, so its checkpoints are not used.
    """

    def __init__(self, run_key: str, processor: str) -> None:
        self.path = files.repository() / ".scratch" / "checkpoints" / f"{run_key}.npz"
        self._owner = np.array([run_key, processor])
        self._written = time.monotonic()

    def load(self) -> Content | None:
        """The last content written, or None: there is none, it is damaged, or it is another processor's."""
        try:
            return self._read()
        except Exception:  # a damaged archive can fail in any way, and each means: train from the start
            return None

    def _read(self) -> Content | None:
        # Opened here, since numpy leaves a damaged archive open. A lone array in its place would be read at
        # once, as long as it claims to be; numpy refuses to map it from a stream.
        with self.path.open("rb") as stream, np.load(stream, mmap_mode="r", allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
        owner, rows, count = (content.pop(name) for name in ("owner", "rows", "count"))
        fits = (
            np.array_equal(owner, self._owner)
            and (rows.dtype, rows.ndim) == (np.float64, 2)
            and len(rows) > 0
            and np.array_equal(count, len(content))  # one bit of a zip's directory can hide its other entries
            and sorted(content) == _names(len(content))
            and all(value.dtype.kind in "fiu" for value in content.values())
        )
        return Content(rows, [content[name] for name in sorted(content)]) if fits else None

    def is_due(self) -> bool:
        return time.monotonic() - self._written >= INTERVAL

    def save(self, content: Content) -> None:
        """Take the place of the last checkpoint at once: a reader never sees half of one."""
        count = len(content.variables)
        arrays = {"owner": self._owner, "rows": content.rows, "count": np.array(count)}
        arrays |= zip(_names(count), content.variables, strict=True)
        with files.replacing(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        self._written = time.monotonic()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _names(count: int) -> list[str]:
    """What the variables are called in the archive, in their order."""
    return [f"variable-{index:03d}" for index in range(count)]
