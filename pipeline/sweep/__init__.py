"""Command `sweep`: the runs of `dvc repro`, many at a time, on this machine or on a Ray cluster."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Message = Mapping[str, Any]
"""What a worker reports: `run` with `started` or `epochs`, or `trouble` with MLflow."""


class SweepRun(NamedTuple):
    """What names a run of a sweep."""

    learning_rate: float
    seed: int
    run_key: str

    @property
    def name(self) -> str:
        return f"learning rate {self.learning_rate}, seed {self.seed}"
