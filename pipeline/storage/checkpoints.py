"""Checkpoints: what an unfinished run needs to go on, in a scratch folder that git and DVC ignore."""

import time
import zipfile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.storage import files

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
            with np.load(self.path, allow_pickle=False) as archive:
                if not np.array_equal(archive["owner"], self._owner):
                    return None
                names = sorted(name for name in archive.files if name.startswith("variable-"))
                return Content(archive["rows"], [archive[name] for name in names])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def is_due(self) -> bool:
        return time.monotonic() - self._written >= INTERVAL

    def save(self, content: Content) -> None:
        """Take the place of the last checkpoint at once: a reader never sees half of one."""
        arrays = {f"variable-{index:03d}": value for index, value in enumerate(content.variables)}
        with files.replacing(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, owner=self._owner, rows=content.rows, **arrays)
        self._written = time.monotonic()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
