"""Sweeps whose workers and drivers are killed."""

import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.hard.conftest import (
    PATIENCE,
    Swept,
    assert_same,
    checkpoints,
    forget,
    run_pipeline,
    start,
    training_workers,
    wait_for,
)

pytestmark = pytest.mark.hard


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_s_run_is_trained_again_from_its_checkpoint(
    untrained: Path, trained: Path, number: signal.Signals
) -> None:
    process = start(untrained, "pipeline", "sweep", "--max-concurrent", "1")
    wait_for(lambda: checkpoints(untrained), process)
    (worker,) = training_workers(process)
    worker.send_signal(number)
    assert checkpoints(untrained)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "1 begun again after a worker died" in said
    assert not checkpoints(untrained)
    assert_same(untrained, trained)


def test_ten_killed_drivers_leave_nothing_wrong(untrained: Path, trained: Path, swept: Swept) -> None:
    dice, killed, longest = random.Random(6), 0, swept.seconds
    for _ in range(30):
        began = time.monotonic()
        process = start(untrained, "pipeline", "sweep")
        try:
            said, _ = process.communicate(timeout=dice.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.kill()  # the driver alone: what it started has to notice
            process.communicate(timeout=PATIENCE)
            assert not half_written(untrained)
            killed += 1
        else:  # it was done before
            assert process.returncode == 0, said
            longest = min(longest, time.monotonic() - began)  # the machine may be freer than at first
            assert_same(untrained, trained)
            forget(untrained)
        if killed == 10:
            break
    assert killed == 10
    done = run_pipeline(untrained, "sweep")
    assert done.returncode == 0, done.stderr
    assert_same(untrained, trained)
    deadline = time.monotonic() + 300  # what follows the live logs gives way to all others
    while (left := [process for process in psutil.process_iter() if belongs(process, untrained)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(1)
    assert not left


def half_written(folder: Path) -> list[Path]:
    """List folders of runs without all of their files, and files that belong to nothing."""
    partial = [path for path in folder.glob("runs/*/*") if path.is_dir() and len(list(path.iterdir())) != 4]
    return partial + [path for path in folder.glob("runs/*/.*") if path.name != ".gitignore"]


def belongs(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False
