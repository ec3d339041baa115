"""25 trainings killed at random moments and run again: 25 times the bytes of an uninterrupted one."""

import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.storage import files
from tests.conftest import make_project, run_pipeline

pytestmark = pytest.mark.hard

KILLS = 25
EPOCHS = 400
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


def kill_and_finish(study: Path, folder: Path, delay: float) -> tuple[bool, str]:
    """Whether a checkpoint was there when the kill came, and the outputs' hash after the second call."""
    shutil.copytree(study, folder, ignore=shutil.ignore_patterns("runs", "mlflow.db*", "mlartifacts"))
    with start(folder) as process:
        assert process.stdout
        while "epoch 1/" not in (line := process.stdout.readline()):
            assert line, "the training ended before its first epoch"
        time.sleep(delay)
        process.kill()
        process.stdout.read()
    kept = bool(list((folder / ".scratch/checkpoints").glob("*.npz")))
    with start(folder) as process:
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return kept, files.sha256(folder / FOLDER)


def test_killed_and_run_again_is_as_never_interrupted(study: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    delays = [chance.uniform(0, 2.5) for _ in range(KILLS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        places = [tmp_path / str(number) for number in range(KILLS)]
        results = list(pool.map(kill_and_finish, [study] * KILLS, places, delays))
    assert {digest for _, digest in results} == {files.sha256(study / FOLDER)}
    assert sum(kept for kept, _ in results) > KILLS / 2, "hardly any kill found a checkpoint to go on from"
