"""25 kills at random moments, five in a row for each training: the bytes of one that nothing interrupted."""

import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.storage import files
from tests.conftest import make_project, run_pipeline

pytestmark = pytest.mark.hard

TRAININGS, KILLS = 5, 5
EPOCHS = 1200
FOLDER = "runs/lr-0.01/seed-0"
# The stage as it is, with a checkpoint every 50 ms in place of 10 s: kills fall between many checkpoints.
PROGRAM = """
import sys
from pipeline.storage import checkpoints
checkpoints.INTERVAL = 0.05
from pipeline.__main__ import main
sys.exit(main("train --learning_rate 0.01 --seed 0 data/scaled runs".split()))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = make_project(tmp_path_factory.mktemp("resume") / "project")
    text = (place / "params.yaml").read_text(encoding="utf-8")
    (place / "params.yaml").write_text(text.replace("epochs: 3", f"epochs: {EPOCHS}"), encoding="utf-8")
    for arguments in (("download", "data/raw"), ("scale", "data/raw", "data/scaled")):
        assert run_pipeline(place, *arguments).returncode == 0
    with start(place) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return place


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_and_finish(study: Path, folder: Path, delays: Sequence[float]) -> tuple[list[int], str]:
    """The epochs that were done when each start began, and the outputs' hash in the end."""
    shutil.copytree(study, folder, ignore=shutil.ignore_patterns("runs"))
    begun = []
    for delay in delays:
        with start(folder) as process:
            begun.append(first_epoch(process))
            time.sleep(delay)
            process.kill()
    with start(folder) as process:
        begun.append(first_epoch(process))
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return begun, files.sha256(folder / FOLDER)


def first_epoch(process: "subprocess.Popen[str]") -> int:
    """Wait for the first line of progress; the number of the epoch that it tells of."""
    assert process.stdout
    for line in process.stdout:
        if f"/{EPOCHS}" in line:
            return int(line.partition("epoch ")[2].partition("/")[0])
    pytest.fail("the training ended before its first epoch")


def test_killed_and_run_again_is_as_never_interrupted(study: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    delays = [[chance.uniform(0, 1.0) for _ in range(KILLS)] for _ in range(TRAININGS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        places = [tmp_path / str(number) for number in range(TRAININGS)]
        results = list(pool.map(kill_and_finish, [study] * TRAININGS, places, delays))
    assert {digest for _, digest in results} == {files.sha256(study / FOLDER)}
    steps = [later > earlier for begun, _ in results for earlier, later in itertools.pairwise(begun)]
    assert len(steps) == TRAININGS * KILLS
    assert sum(steps) > len(steps) / 2, f"hardly any start went on from a checkpoint: {results}"
