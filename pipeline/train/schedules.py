"""The rate at each step of a run. Pure; one code for all processors, so no vectorised cosine."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.params.models import ScheduleParams

_FALL: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda passed: (1 + math.cos(math.pi * passed)) / 2,
    "linear": lambda passed: 1 - passed,
}
"""By name, the share of the peak that is left when this share of the steps after the warm-up has passed."""


def rates(
    schedule: ScheduleParams, learning_rate: float, epoch: int, epochs: int, steps: int
) -> NDArray[np.float32]:
    """Compute the rates of an epoch's steps, shape (steps,).

    Args:
        learning_rate: the peak, which the last step of the warm-up has.
        epoch: 1 for the first.
        steps: in each epoch.
    """
    total = epochs * steps
    warmup = round(schedule.warmup * total)
    first = (epoch - 1) * steps
    shares = [
        (step + 1) / warmup if step < warmup else _FALL[schedule.name]((step - warmup) / (total - warmup))
        for step in range(first, first + steps)
    ]
    return np.array([learning_rate * share for share in shares], np.float32)
