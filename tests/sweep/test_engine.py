"""The runs as tasks: on which machines they fit, and how they end when they are interrupted."""

import time
from typing import cast

import pytest

from pipeline.sweep import SweepRun
from pipeline.sweep.engine import Engine, Options
from pipeline.sweep.worker import SweepStudy
from tests.sweep.conftest import Machines, SlowTasks


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"), [(4, 0, True), (5, 0, False), (1, 0.5, True), (4, 1, False), (0.5, 2, False)]
)
def test_a_run_needs_one_machine_that_has_all_it_wants(cpus: float, gpus: float, fits: bool) -> None:
    machines = Engine(Machines((4, 0), (2, 1)), "", local=True)
    assert machines.fits(Options(None, cpus, gpus)) == fits


@pytest.mark.parametrize(("saving", "seconds"), [(1.0, 1.0), (60.0, 2.0)], ids=["in time", "too slow"])
def test_interrupted_runs_have_seconds_to_save_however_many_wait(saving: float, seconds: float) -> None:
    asked: list[float] = []

    def stop() -> bool:  # not at the first look: all are handed over by then
        asked.append(time.monotonic())
        return len(asked) > 1

    runs = [SweepRun(0.1, number, str(number)) for number in range(200)]
    study = cast("SweepStudy", None)
    engine = Engine(SlowTasks(saving), "", local=True, grace=2.0)
    events = list(engine.train(study, {}, runs, Options(), stop))

    assert sorted(run.seed for run, _ in events) == list(range(200))  # each ends once
    assert {result for _, result in events} == {None}
    assert seconds <= time.monotonic() - asked[1] < seconds + 1.5
