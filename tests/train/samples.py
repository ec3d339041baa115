"""Small tasks, studies and networks: what the tests of training share. Loads TensorFlow as the stage does."""

from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import numpy as np

from pipeline import params
from pipeline.core import network_files
from pipeline.core.network_files import NetworkFile
from pipeline.core.task import AS_THEY_ARE, GREY_LEVELS, Task
from pipeline.params import Params
from pipeline.train import backend
from pipeline.train.checkpoints import EpochRow, State
from pipeline.train.examples import Examples
from tests.conftest import ROOT

THREADS = 2  # a process can be told them once, before it computes anything
backend.configure(THREADS)

from pipeline.train.loop import Trainer  # noqa: E402
from pipeline.train.networks import Builder  # noqa: E402

RATE, SEED = 0.01, 3
SHAPE, CLASSES = (6, 6, 1), 3
MLP = network_files.read("pipeline/networks/mlp.py", ROOT)
CNN = network_files.read("pipeline/networks/cnn.py", ROOT)


def network(body: str, values: str = "") -> NetworkFile:
    """A network's file: `body` is that of its `build`, which takes `values` besides."""
    head = f"import keras\nfrom keras import layers\n\ndef build(input_shape, classes, seed, {values}):\n"
    text = dedent(body).strip("\n")
    return NetworkFile("own/network.py", head + "".join(f"    {line}\n" for line in text.splitlines()))


def sequential(*layers: str) -> NetworkFile:
    """A network of layers, written as Keras has them, between its inputs and the softmax."""
    lines = ["keras.Input(input_shape)", *layers, "layers.Dense(classes, activation='softmax')"]
    return network(f"return keras.Sequential([{', '.join(lines)}])")


MANY = sequential(
    "layers.Reshape((6, 6))",
    "layers.GRU(8, return_sequences=True)",
    "layers.Flatten()",
    "layers.LayerNormalization()",
    "layers.Dense(40, kernel_regularizer='l2')",
    "layers.BatchNormalization()",
    "layers.Activation('gelu')",
    "layers.Dropout(0.2, seed=0)",
    "layers.Dense(16, activation='swish')",
    "layers.PReLU()",
)
"""What gives the same bits everywhere, besides dense layers and ReLU."""


def examples(count: int, seed: int = 0, *, floats: bool = False, classes: int = CLASSES) -> Examples:
    """Draw inputs of `SHAPE` whose mean depends on their class, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    inputs = generator.normal(labels[:, None, None, None] - 1.0, 2.0, (count, *SHAPE))
    grey = np.clip(128 + 30 * inputs, 0, 255).astype(np.uint8)
    return Examples(inputs.astype(np.float32) if floats else grey, np.eye(classes, dtype=np.float32)[labels])


def scaled(inputs: np.ndarray) -> np.ndarray:
    """As stage `scale` writes them."""
    return inputs / np.float32(255) if inputs.dtype == np.uint8 else inputs


TRAIN, VALIDATION, TEST = examples(150), examples(80, 1), examples(60, 2)
BATCH = 64  # the last of an epoch's three has 22


def study(values: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> Params:
    """The repository's params.yaml with a small batch, `values` for the network, and other entries."""
    changed = params.load(ROOT / "params.yaml").values()
    changed["network"]["values"] = dict(values or {})
    changed["train"] |= {"batch_size": BATCH, "epochs": 4}
    changed["data"]["dataset"] = "own"
    changed["optimizer"] = sections.pop("optimizer", changed["optimizer"])
    for name, entries in sections.items():
        changed[name] |= entries
    return Params.model_validate(changed)


def task_of(train: Examples, held_out: int = len(VALIDATION.labels)) -> Task:
    scaling = GREY_LEVELS if train.inputs.dtype == np.uint8 else AS_THEY_ARE
    sizes = {"train": len(train.labels), "validation": held_out, "test": len(TEST.labels)}
    classes = tuple(map(str, range(train.labels.shape[1])))
    return Task("own", train.inputs.shape[1:], classes, scaling, sizes)


def trainer(
    file: NetworkFile, settings: Params, train: Examples = TRAIN, validation: Examples = VALIDATION
) -> Trainer:
    builder = Builder(file, task_of(train), settings.network.values, settings.train.precision)
    return Trainer(builder, lambda: train, validation, settings)


def run(trained: Trainer, rate: float = RATE, seed: int = SEED, start: State | None = None) -> list[EpochRow]:
    """Train to the end."""
    return list(trained.train(rate, seed, start))[-1]
