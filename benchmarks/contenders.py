"""One epoch of the study's network, by this project and by what others would write."""

import contextlib
import importlib.util
from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from pipeline.core import network_files
from pipeline.core.task import Task
from pipeline.networks import mlp
from pipeline.params import Params
from pipeline.train import arithmetic, unlit
from pipeline.train.examples import Examples
from pipeline.train.loop import Trainer, order
from pipeline.train.networks import Builder

Epoch = Callable[[], object]
RATE, BATCH = 0.001, 1024
SHAPE, CLASSES = (28, 28, 1), 10


def this_loop(
    train: Examples,
    validation: Examples,
    study: Params,
    task: Task,
    *,
    hidden_units: int = 1000,
    precision: str = "float32",
    epochs: int = 10**6,
    narrowed: bool = True,
    defined: bool = True,
) -> Epoch:
    """Prepare the project's own epoch, diagnostics included.

    Args:
        narrowed: leave out unlit inputs, as the study does.
        defined: compute by the definition that gives every processor the same bits, as the study does.
    """
    settings = study.train.model_copy(update={"epochs": epochs, "batch_size": BATCH})
    file = network_files.read(study.network.file)
    builder = Builder(file, task, {"hidden_units": hidden_units}, precision)
    changed = study.model_copy(update={"train": settings})
    with mock.patch.object(unlit, "narrow", unlit.narrow if narrowed else lambda *_: None):
        run = Trainer(builder, lambda: train, validation, changed).train(RATE, 0)
    cut = arithmetic.defined if defined else contextlib.nullcontext

    def epoch() -> object:
        with mock.patch.object(arithmetic, "defined", cut):  # the first traces the graphs
            return next(run)

    return epoch


def stock_fit(train: Examples, validation: Examples, hidden_units: int) -> Epoch:
    """Prepare the recipe's own listing: a compiled Keras model and `model.fit`."""
    keras.utils.set_random_seed(0)  # for the shuffling
    model = mlp.build(SHAPE, CLASSES, 0, hidden_units=hidden_units)
    model.compile(keras.optimizers.Adam(RATE), "categorical_crossentropy", metrics=["accuracy"])
    pixels = train.inputs / np.float32(255)
    held_out = validation.inputs / np.float32(255), validation.labels
    return lambda: model.fit(pixels, train.labels, BATCH, 1, validation_data=held_out, verbose=0)


def torch_loop(train: Examples, validation: Examples, hidden_units: int) -> Epoch:
    """Prepare a plain PyTorch loop over tensors in memory."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, hidden_units), nn.ReLU(), nn.Linear(hidden_units, 10))
    optimizer, loss_of = torch.optim.Adam(model.parameters(), RATE, eps=1e-7), nn.CrossEntropyLoss()
    pixels, classes = (
        torch.from_numpy(scaled(train).reshape(-1, 784)),
        torch.from_numpy(train.labels.argmax(1)),
    )
    held_out = (
        torch.from_numpy(scaled(validation).reshape(-1, 784)),
        torch.from_numpy(validation.labels.argmax(1)),
    )

    def epoch() -> tuple[float, float]:
        hits, total = 0.0, 0.0
        for chosen in torch.randperm(len(classes)).split(BATCH):
            optimizer.zero_grad()
            logits = model(pixels[chosen])
            loss = loss_of(logits, classes[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
            hits += (logits.argmax(1) == classes[chosen]).sum().item()
        with torch.no_grad():
            return loss_of(model(held_out[0]), held_out[1]).item(), total / len(classes)

    return epoch


def jax_loop(train: Examples, validation: Examples, hidden_units: int) -> Epoch:
    """Prepare a plain JAX loop: a compiled step, Adam written out."""
    import jax
    import jax.numpy as jnp

    weights: list[Any] = [
        jnp.asarray(weight)
        for weight in mlp.build(SHAPE, CLASSES, 0, hidden_units=hidden_units).get_weights()
    ]
    moments = [[jnp.zeros_like(weight) for weight in weights] for _ in range(2)]
    pixels, labels = jnp.asarray(scaled(train)), jnp.asarray(train.labels)
    held_out = jnp.asarray(scaled(validation)), jnp.asarray(validation.labels)

    def loss_of(weights: list[Any], pixels: Any, labels: Any) -> Any:
        hidden = jax.nn.relu(pixels @ weights[0] + weights[1])
        return -(labels * jax.nn.log_softmax(hidden @ weights[2] + weights[3])).sum(1).mean()

    @jax.jit
    def step(weights: Any, first: Any, second: Any, count: Any, chosen: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, pixels[chosen], labels[chosen])
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
        rate = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        moved = zip(weights, first, second, strict=True)
        return [w - rate * m / (jnp.sqrt(v) + 1e-7) for w, m, v in moved], first, second, loss

    validate = jax.jit(loss_of)
    state: dict[str, Any] = {"weights": weights, "moments": moments, "count": 0, "epoch": 0}

    def epoch() -> float:
        state["epoch"] += 1
        shuffled = order(0, state["epoch"], len(labels))
        for start in range(0, len(shuffled), BATCH):
            state["count"] += 1
            chosen = shuffled[start : start + BATCH]
            arguments = state["weights"], *state["moments"], float(state["count"]), chosen
            state["weights"], *state["moments"], _ = step(*arguments)
        return float(validate(state["weights"], *held_out))

    return epoch


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def scaled(examples: Examples) -> np.ndarray:
    """Scale images as stage `scale` does; a row each."""
    rows: np.ndarray = examples.inputs.reshape(-1, 784) / np.float32(255)
    return rows


def products(hidden_units: int) -> Callable[[], float]:
    """Prepare the matrix products of a step and nothing else; a call returns their operations."""
    random = np.random.default_rng(0)
    shapes = (BATCH, 784), (784, hidden_units), (BATCH, hidden_units)
    pixels, kernel, gradient = (tf.constant(random.random(shape, np.float32)) for shape in shapes)
    repeats = 16

    def run() -> float:
        # One by one, outside a graph, which would compute a product of the same arrays only once.
        for _ in range(repeats):
            tf.matmul(pixels, kernel)
            product = tf.matmul(pixels, gradient, transpose_a=True)
        product.numpy()
        return repeats * 2 * 2 * BATCH * 784 * hidden_units

    return run


def operations(train: int, validation: int, hidden_units: int, pixels: int = 784) -> float:
    """Count the floating-point operations of an epoch's matrix products.

    Three products for the output layer; two for the hidden one, whose input needs no gradient; one of each
    for validation.
    """
    hidden, output = 2 * pixels * hidden_units, 2 * hidden_units * CLASSES
    return train * (2 * hidden + 3 * output) + validation * (2 * 784 * hidden_units + output)
