"""Studies of other data, networks and optimizers, each by files and lines of params.yaml alone."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.download import raw_files
from pipeline.params import reading
from tests.conftest import AUTHOR, ROOT, environment, make_project
from tests.download.conftest import MNIST_FOLDER
from tests.hard.conftest import run_dvc, run_pipeline

pytestmark = pytest.mark.hard


def patterns(counts: list[int], shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw noisy copies of one pattern a class, as grey levels, mixed."""
    generator = np.random.default_rng(seed)
    levels = np.random.default_rng(7).integers(0, 256, (len(counts), *shape))
    labels = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    images = levels[labels] + generator.normal(0, 60, (len(labels), *shape))
    return images.clip(0, 255).astype(np.uint8), labels


def idx_files(folder: Path) -> None:
    for part, size, seed in (("train", 30, 0), ("t10k", 10, 1)):
        images, labels = patterns([size] * 10, (28, 28), seed)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(raw_files.encode(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(raw_files.encode(labels.astype(np.uint8)))


def table_of_floats(folder: Path) -> None:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    np.savez(
        folder / "breast_cancer.npz", x_train=bunch.data, y_train=bunch.target, classes=bunch.target_names
    )


def image_folders(folder: Path) -> None:
    names = ("cat", "dog", "owl")
    for part, size, seed in (("train", 40, 0), ("test", 10, 1)):
        images, labels = patterns([size] * 3, (32, 32, 3), seed)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / part / names[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def unbalanced(folder: Path) -> None:
    images, labels = patterns([300, 60, 20], (6, 5), 0)
    np.savez_compressed(folder / "three.npz", x_train=images, y_train=labels)


def nothing(folder: Path) -> None:
    """The data set comes from elsewhere."""


OWN: dict[str, Any] = {"data.dataset": "own", "train.batch_size": 32, "train.epochs": 4}
TASKS: dict[str, tuple[Callable[[Path], None], dict[str, Any], str]] = {
    "Fashion-MNIST's four IDX files": (idx_files, OWN | {"data.validation_size": 50}, "28 × 28"),
    "a table of floats": (
        table_of_floats,
        OWN | {"data.validation_size": 60, "data.standardise": True},
        "malignant",
    ),
    "folders of colour images": (
        image_folders,
        OWN
        | {
            "data.validation_size": 15,
            "network.file": "pipeline/networks/cnn.py",
            "network.values": {"filters": 4, "dropout": 0.2},
        },
        "owl",
    ),
    "MNIST with momentum, warm-up and a cosine": (
        nothing,
        {
            "data.dataset": "mnist",
            "data.validation_size": 5000,
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True},
            "schedule": {"name": "cosine", "warmup": 0.1},
            "train.batch_size": 1024,
            "train.epochs": 2,
        },
        "cosine",
    ),
    "three classes of unequal size": (unbalanced, OWN | {"data.validation_size": 40}, "6 × 5"),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_studied_without_an_edit_in_the_pipeline(name: str, tmp_path: Path) -> None:
    fill, changes, shown = TASKS[name]
    if changes["data.dataset"] == "mnist" and not MNIST_FOLDER.is_dir():
        pytest.skip(f"{MNIST_FOLDER} is not there")
    project = make_project(tmp_path / "project")
    fill(project / "data/own")
    mirrors = {"data.mirrors.mnist": [str(MNIST_FOLDER)]}
    reading.override(project / "params.yaml", changes | mirrors)

    said = run_pipeline(project, "rehearse")
    assert said.returncode == 0, said.stderr
    assert "it trains to the same bytes a second time, and after an interruption" in said.stdout
    done = run_dvc(project, "repro")
    assert done.returncode == 0, done.stdout + done.stderr

    verdict = json.loads((project / "report/verdict.json").read_text(encoding="utf-8"))
    assert verdict["learning_rate"] in {0.01, 0.001}
    assert shown in (project / "report/index.html").read_text(encoding="utf-8")
    assert run_pipeline(project, "publish").returncode == 0
    assert "up to date" in run_dvc(project, "status").stdout
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", name]):
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True)
    verified = run_pipeline(project, "verify", "--runs", "1")
    assert verified.returncode == 0, verified.stdout + verified.stderr


DRAWS_BY_ITSELF = """
import random

import keras


def build(input_shape, classes, seed):
    weights = keras.initializers.RandomNormal(seed=random.SystemRandom().randrange(10**9))
    output = keras.layers.Dense(classes, "softmax", kernel_initializer=weights)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), output])
"""


def test_a_rehearsal_finds_what_would_spoil_the_study(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    unbalanced(project / "data/own")  # 380 examples, a fifth of them for the test
    reading.override(project / "params.yaml", OWN | {"data.validation_size": 40, "train.batch_size": 512})
    said = run_pipeline(project, "rehearse")
    assert said.returncode == 1
    assert re.search(
        r"^error: train\.batch_size: expected at most the \d+ training examples, got 512\.", said.stderr, re.M
    )
    assert "dvc repro" not in said.stdout  # it promises nothing

    own = {"train.batch_size": 128, "data.dataset": "digits", "data.validation_size": 300}
    reading.override(project / "params.yaml", own)
    (project / "networks").mkdir()
    (project / "networks/random.py").write_text(DRAWS_BY_ITSELF, encoding="utf-8")
    reading.override(project / "params.yaml", {"network.file": "networks/random.py", "network.values": {}})
    said = run_pipeline(project, "rehearse")
    assert said.returncode == 1
    assert "expected the same bytes from the same training, got others a second time" in said.stderr

    changes = {"network.file": "pipeline/networks/mlp.py", "network.values": {"hidden_units": 16}}
    sgd = {"optimizer": {"name": "sgd"}, "train.learning_rates": [1e30]}
    reading.override(project / "params.yaml", changes | sgd)
    said = run_pipeline(project, "rehearse")
    assert said.returncode == 1
    assert "expected a finite loss at the study's lowest rate" in said.stderr


def test_the_commands_of_the_page_lead_to_a_verdict(tmp_path: Path) -> None:
    """docs/own-task.md: every file that it shows is written, every command that it shows is run."""
    project = make_project(tmp_path / "project")
    page = (ROOT / "docs/own-task.md").read_text(encoding="utf-8")
    for path, content in re.findall(r"^`([\w/.-]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL | re.MULTILINE):
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    for commands in re.findall(r"^```sh\n(.*?)```", page, re.DOTALL | re.MULTILINE):
        subprocess.run(["sh", "-e", "-c", commands], cwd=project, env=environment({}), check=True)
    assert json.loads((project / "report/verdict.json").read_text(encoding="utf-8"))["headline"]
