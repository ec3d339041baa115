"""Trainings killed again and again, 30 times in all: the bytes of an uninterrupted one.

The processes are forked from one that has imported TensorFlow and not used it yet, so that a kill costs
a second and not ten. The stage around the loop, DVC and MLflow are killed in `test_kills.py`.
"""

import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pipeline.core import files
from pipeline.params import reading
from tests.conftest import make_project, run_pipeline

pytestmark = pytest.mark.hard

TRAININGS, KILLS = 2, 5  # of each study
EPOCHS = 1500
LONGEST = 0.3  # seconds from a process' first epoch to its end by SIGKILL
FOLDER = Path("runs/lr-0.01/seed-0")
NETWORK = """
from keras import Sequential, layers


def build(input_shape, classes, seed):
    inner = [layers.Flatten(), layers.Dense(16, activation="relu"), layers.BatchNormalization()]
    return Sequential([*inner, layers.Dropout(0.3, seed=seed), layers.Dense(classes, activation="softmax")])
"""
RANDOM = {"network": {"file": "own/network.py", "values": {}}}
STUDIES = {
    "the recipe's network, Adam": {},
    "dropout and batch normalisation, SGD": RANDOM | {"optimizer": {"name": "sgd", "momentum": 0.9}},
    "dropout and batch normalisation, AdamW": RANDOM | {"optimizer": {"name": "adamw"}},
}
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["pipeline.train.runner"])


def train(data: Path, folder: Path, sender: Connection) -> None:
    """The train stage without MLflow's process; sends the number of every epoch that it computes itself."""

    from pipeline import params
    from pipeline.core import network_files, task
    from pipeline.train import backend, checkpoints, examples, runner, signals

    checkpoints.INTERVAL = 0.02  # instead of 10 s: kills fall between many checkpoints, and into some
    project, what = data.parents[1], task.read(data)
    study = params.load(project / "params.yaml")
    os.chdir(folder)
    backend.configure(study.train.threads)
    parts = {part: examples.read(data, part, what) for part in examples.PARTS}
    trainer = runner.Runner(study, network_files.read(study.network.file, project), what, parts.__getitem__)
    saved = checkpoints.Checkpoint("run", trainer.processor).load()
    known = len(saved.rows) if saved else 0

    def on_epoch(epoch: int, _: object) -> None:
        if epoch > known:
            sender.send(epoch)

    trainer.run(0.01, 0, "run", FOLDER, signals.Interruption(), on_epoch)


def start(data: Path, folder: Path) -> tuple["multiprocessing.context.ForkServerProcess", Connection, int]:
    """A training, and the first epoch that it computed."""
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=train, args=(data, folder, sender))
    process.start()
    sender.close()
    return process, receiver, receiver.recv()


def finish(data: Path, folder: Path) -> tuple[int, str]:
    """The epoch from which a training went on to its end, and its outputs' hash."""
    process, receiver, first = start(data, folder)
    with receiver:
        while first < EPOCHS and receiver.recv() < EPOCHS:
            pass
    process.join()
    assert process.exitcode == 0
    return first, files.sha256(folder / FOLDER)


@pytest.fixture(params=STUDIES.values(), ids=STUDIES)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    project = make_project(tmp_path / "project")
    (project / "own").mkdir()
    (project / "own/network.py").write_text(NETWORK)
    changes = {"train.epochs": EPOCHS, "train.threads": 1} | request.param
    reading.override(project / "params.yaml", changes)
    for arguments in (("download", "data/raw"), ("scale", "data/raw", "data/scaled")):
        assert run_pipeline(project, *arguments).returncode == 0
    return project / "data/scaled"


def test_killed_and_run_again_is_as_never_interrupted(data: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    (tmp_path / "never").mkdir()
    first, expected = finish(data, tmp_path / "never")
    assert first == 1
    for number in range(TRAININGS):
        project = tmp_path / str(number)
        project.mkdir()
        starts = []
        for _ in range(KILLS):
            process, receiver, first = start(data, project)
            starts.append(first)
            with receiver:
                time.sleep(chance.uniform(0, LONGEST))
                process.kill()
                process.join()
            assert process.exitcode == -9, "it ended before it was killed"
        first, digest = finish(data, project)
        assert digest == expected, f"begun at epochs {starts}, then {first}"
        assert starts[0] == 1
        assert sorted(starts) == starts
        assert first > KILLS, "hardly any kill found a checkpoint to go on from"
