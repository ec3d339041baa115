"""The rate at each step, from the first to the last; the studied rate is its highest."""

import math
from typing import Any

import numpy as np
import pytest

from pipeline.params.models import ScheduleParams
from pipeline.train import schedules

EPOCHS, STEPS, RATE = 5, 4, 0.1


def rates(epochs: int = EPOCHS, **schedule: Any) -> np.ndarray:
    """Of all steps, in one row."""
    settings = ScheduleParams(**schedule)
    by_epoch = [schedules.rates(settings, RATE, epoch, epochs, STEPS) for epoch in range(1, epochs + 1)]
    return np.concatenate(by_epoch)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.1, 1.0])
@pytest.mark.parametrize(
    ("name", "fall"),
    [
        ("constant", lambda _: 1),
        ("cosine", lambda passed: (1 + math.cos(math.pi * passed)) / 2),
        ("linear", lambda passed: 1 - passed),
    ],
)
def test_a_rate_rises_along_a_line_and_then_falls_as_its_schedule_says(
    name: str, fall: Any, warmup: float
) -> None:
    got = rates(name=name, warmup=warmup)
    rising, total = round(warmup * 20), 20
    assert got.dtype == np.float32
    assert got.max() == np.float32(RATE)
    assert (got > 0).all()
    assert got[:rising] == pytest.approx([RATE * (step + 1) / rising for step in range(rising)])
    left = [(step - rising) / (total - rising) for step in range(rising, total)]
    assert got[rising:] == pytest.approx([RATE * fall(passed) for passed in left])


@pytest.mark.parametrize(
    ("name", "warmup", "first", "peak", "last"),
    [
        ("constant", 0.0, 0.1, 0.1, 0.1),
        ("constant", 0.25, 0.02, 0.1, 0.1),
        ("cosine", 0.0, 0.1, 0.1, 0.1 * (1 + math.cos(math.pi * 19 / 20)) / 2),
        ("cosine", 0.25, 0.02, 0.1, 0.1 * (1 + math.cos(math.pi * 14 / 15)) / 2),
        ("linear", 0.0, 0.1, 0.1, 0.1 / 20),
        ("linear", 0.25, 0.02, 0.1, 0.1 / 15),
    ],
)
def test_the_first_step_the_last_of_the_warm_up_and_the_last(
    name: str, warmup: float, first: float, peak: float, last: float
) -> None:
    got = rates(name=name, warmup=warmup)
    assert got[[0, max(0, round(warmup * 20) - 1), -1]] == pytest.approx([first, peak, last])


@pytest.mark.parametrize(
    ("name", "warmup", "depends"),
    [("constant", 0.0, False), ("constant", 0.1, True), ("cosine", 0.0, True), ("linear", 0.0, True)],
)
def test_a_schedule_says_whether_another_number_of_epochs_is_another_run(
    name: str, warmup: float, depends: bool
) -> None:
    shorter, longer = (rates(epochs, name=name, warmup=warmup)[:STEPS] for epochs in (5, 50))
    assert np.array_equal(shorter, longer) is not depends
    assert ScheduleParams(name=name, warmup=warmup).depends_on_epochs is depends
