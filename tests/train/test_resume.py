"""Exact resume, equal repeats and equal files: for random layers, batch normalisation and every optimizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.params.optimizers import Optimizer
from pipeline.train import models
from pipeline.train.checkpoints import Checkpoint, State
from pipeline.train.loop import Trainer
from tests.train.samples import CNN, RATE, SEED, network, run, sequential, study, trainer

LAYERS = {
    "augmentation": ("layers.RandomFlip(seed=seed)", "layers.RandomTranslation(0.2, 0.2, seed=seed + 1)"),
    "batch normalisation": ("layers.Conv2D(4, 3)", "layers.BatchNormalization()", "layers.ReLU()"),
    "dropout": ("layers.Flatten()", "layers.Dense(8, activation='relu')", "layers.Dropout(0.3, seed=seed)"),
}
ALL = sequential(*(layer for layers in LAYERS.values() for layer in layers))
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "sgd", "momentum": 0.9, "nesterov": True},
    {"name": "adam"},
    {"name": "adamw", "global_clipnorm": 1.0},
    {"name": "nadam"},
    {"name": "rmsprop", "momentum": 0.9, "centered": True},
    {"name": "lion"},
    {"name": "muon"},
]
UNSEEDED = sequential("layers.GaussianNoise(0.5)", "layers.Flatten()", "layers.Dropout(0.3)")
WITHOUT_INPUTS = network(
    f"return keras.Sequential([{', '.join(LAYERS['dropout'])}, layers.Dense(classes), layers.Softmax()])"
)
USUAL = {"adam", "sgd"}
CASES = [
    *(
        pytest.param(
            ALL,
            optimizer,
            id=f"all of them, {optimizer['name']}",
            marks=() if optimizer["name"] in USUAL else pytest.mark.hard,
        )
        for optimizer in OPTIMIZERS
    ),
    pytest.param(UNSEEDED, {"name": "adam"}, id="layers without a seed, adam"),
    pytest.param(CNN, {"name": "sgd", "momentum": 0.9}, id="cnn.py, sgd"),
]


def test_the_table_has_every_optimizer() -> None:
    members = get_args(get_args(Optimizer)[0])
    names = {name for member in members for name in get_args(member.model_fields["name"].annotation)}
    assert {optimizer["name"] for optimizer in OPTIMIZERS} == names


def bits(trained: Trainer) -> list[bytes]:
    return [variable.tobytes() for variable in trained.variables()]


@pytest.mark.parametrize(("file", "optimizer"), CASES)
def test_a_run_that_goes_on_elsewhere_or_comes_again_has_the_same_bits(
    file: Any, optimizer: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    settings = study(optimizer=optimizer, schedule={"name": "cosine", "warmup": 0.2}, train={"epochs": 3})
    first = trainer(file, settings)
    checkpoint = Checkpoint("run", "processor")
    whole = []
    for rows in first.train(RATE, SEED):
        whole = [dict(row) for row in rows]
        if len(rows) == 1:
            checkpoint.save(State(rows, first.variables(), first.network()))
    variables = bits(first)

    other = trainer(file, settings)  # as in a process of its own
    run(other, rate=RATE * 2, seed=SEED + 1)  # which has done other work
    assert bits(other) != variables
    start = checkpoint.load()
    assert run(other, start=start) == whole
    assert bits(other) == variables

    run(first, rate=1e30, seed=SEED + 1)
    assert run(first) == whole
    assert bits(first) == variables


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' saving
@pytest.mark.parametrize(
    "file",
    [ALL, UNSEEDED, WITHOUT_INPUTS],
    ids=["all of them", "layers without a seed", "without inputs of its own"],
)
def test_a_network_built_again_has_the_same_names_and_the_same_file(file: Any, tmp_path: Path) -> None:
    saved = []
    for number in range(2):
        trained = trainer(file, study(train={"epochs": 1}))
        run(trained)
        models.write(tmp_path / f"{number}.keras", trained.model)
        names = [variable.path for variable in trained.model.variables]
        saved.append((names, (tmp_path / f"{number}.keras").read_bytes()))
    assert saved[0] == saved[1]
    assert len(set(saved[0][0])) == len(saved[0][0])
