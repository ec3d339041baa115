"""Command `sweep`: the runs of `dvc repro`, many at a time, on this machine or on a Ray cluster."""

from typing import NamedTuple


class SweepRun(NamedTuple):
    """What names a run of a sweep."""

    learning_rate: float
    seed: int
    run_key: str

    @property
    def name(self) -> str:
        return f"learning rate {self.learning_rate}, seed {self.seed}"
