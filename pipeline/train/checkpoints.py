"""Checkpoints: what an unfinished run needs to go on, in a scratch folder that git and DVC ignore."""

import hashlib
import io
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import files

INTERVAL = 10.0
"""Seconds between two checkpoints at least; one takes some 50 ms."""

EpochRow = dict[str, float]
"""A row of history.csv without its number: measures by name."""


class State(NamedTuple):
    """All that the rest of a run depends on.

    Attributes:
        rows: one for each finished epoch.
        variables: the network's and the optimizer's, in a fixed order.
        kept: the network's, as they were after the epoch that is the best so far; empty where none is kept.
    """

    rows: list[EpochRow]
    variables: list[NDArray[Any]]
    kept: list[NDArray[Any]]


class Checkpoint:
    """The checkpoint of one run.

    Args:
        run_key: what determines the run's outputs; a changed parameter, data set or code has another.
        processor: what computes. Another processor may round differently, so its checkpoints are not used.
    """

    def __init__(self, run_key: str, processor: str) -> None:
        self.path = files.repository() / ".scratch" / "checkpoints" / f"{run_key}.checkpoint"
        self._run = f"{run_key} {processor}".encode()
        self._written = time.monotonic()

    def load(self) -> State | None:
        """Read the state saved last; None if there is none, or it is damaged or another processor's."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        digest, archive = content[:32], content[32:]
        if digest != self._digest(archive):
            return None
        with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
            names, table, *rest = arrays.values()
        rows = [dict(zip(names.tolist(), row, strict=True)) for row in table.tolist()]
        count = int(rest.pop(0))
        return State(rows, rest[:count], rest[count:])

    def is_due(self) -> bool:
        return time.monotonic() - self._written >= INTERVAL

    def save(self, state: State) -> None:
        """Replace the last checkpoint at once: a reader never sees half of one."""
        archive = io.BytesIO()
        names, table = list(state.rows[0]), np.array([list(row.values()) for row in state.rows])
        count = np.array(len(state.variables))
        np.savez(archive, names, table, count, *state.variables, *state.kept, allow_pickle=False)
        files.write_bytes(self.path, self._digest(archive.getvalue()) + archive.getvalue())
        self._written = time.monotonic()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _digest(self, archive: bytes) -> bytes:
        """Hash the archive together with its run, so that neither a damaged nor another run's is read."""
        return hashlib.sha256(self._run + archive).digest()
