"""The loop against Keras' own, against itself, and against what its measures are defined as."""

import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.core.runs import CURVES
from pipeline.train import loop
from pipeline.train.loop import Trainer
from tests.conftest import ROOT
from tests.train.samples import (
    BATCH,
    CNN,
    MLP,
    RATE,
    SEED,
    SHAPE,
    TRAIN,
    VALIDATION,
    examples,
    network,
    run,
    scaled,
    sequential,
    study,
    task_of,
    trainer,
)

HIDDEN = {"hidden_units": 24}
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True}
PENALISED = sequential(
    "layers.Flatten()",
    "layers.Dense(8, activation='relu', kernel_regularizer='l2', activity_regularizer='l1')",
)
NORMALISED = sequential(
    "layers.Flatten()",
    "layers.Dense(8, use_bias=False)",  # a bias has no gradient but rounding, of which Adam makes steps
    "layers.BatchNormalization()",
    "layers.Dropout(0.3, seed=seed)",
)
CLIPPED = {"name": "adamw", "weight_decay": 0.1, "global_clipnorm": 0.5}
CHANNELS_FIRST = sequential("layers.Flatten(data_format='channels_first')", "layers.Dense(8)")
LOW_RANK = sequential("layers.Flatten()", "layers.Dense(8, lora_rank=2)")
DARK = {
    "train": TRAIN._replace(inputs=np.where(np.arange(36).reshape(SHAPE) < 12, np.uint8(0), TRAIN.inputs))
}
FLOATS = {"train": examples(150, floats=True), "validation": examples(80, 1, floats=True)}


@pytest.fixture(scope="module")
def usual() -> Trainer:
    return trainer(MLP, study(HIDDEN))


@pytest.mark.parametrize(
    ("file", "values", "optimizer", "data"),
    [
        (MLP, HIDDEN, {"name": "adam"}, {}),
        (CNN, {"filters": 4}, SGD, {}),
        (PENALISED, {}, SGD, {}),
        (NORMALISED, {}, CLIPPED, {}),
        (MLP, HIDDEN, {"name": "adam"}, FLOATS),
        (MLP, HIDDEN, {"name": "adam"}, DARK),
        (CHANNELS_FIRST, {}, SGD, DARK),
        (LOW_RANK, {}, SGD, DARK),
    ],
    ids=[
        "mlp, adam",
        "cnn, sgd",
        "penalties, sgd",
        "batch norm and dropout, adamw",
        "floats",
        "unlit inputs",
        "unlit inputs, channels first",
        "unlit inputs, a kernel of low rank",
    ],
)
def test_agrees_with_stock_fit_on_the_same_batches_to_rounding(
    file: Any, values: dict[str, Any], optimizer: dict[str, Any], data: dict[str, Any]
) -> None:
    settings = study(values, optimizer=optimizer, train={"epochs": 3})
    ours = trainer(file, settings, **data)
    rows = run(ours)
    train, validation = data.get("train", TRAIN), data.get("validation", VALIDATION)
    stock = ours._builder.build(SEED)
    classes = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}
    stock.compile(
        classes[optimizer["name"]](RATE, **settings.optimizer.values()),
        "categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    held_out = (scaled(validation.inputs), validation.labels)
    for epoch, row in enumerate(rows, start=1):
        order = loop.order(SEED, epoch, len(train.labels))
        inputs, labels = scaled(train.inputs[order]), train.labels[order]
        fit = stock.fit(inputs, labels, BATCH, validation_data=held_out, shuffle=False, verbose=0)
        # Keras adds penalties to the losses that it shows; here they only move the weights.
        shown = CURVES if file is not PENALISED else ("accuracy", "val_accuracy")
        assert {name: row[name] for name in shown} == {
            name: pytest.approx(fit.history[name][0], rel=2e-4) for name in shown
        }
    for got, expected in zip(ours.model.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


def test_the_graph_computes_what_its_python_says(usual: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow optimises the graph; run operation by operation, as written, it comes to the same."""
    rows = run(usual)
    steps, step = [], usual.step
    monkeypatch.setattr(usual, "step", lambda chosen, rate: steps.append(len(chosen)) or step(chosen, rate))
    tf.config.run_functions_eagerly(True)
    try:
        as_written = run(usual)
    finally:
        tf.config.run_functions_eagerly(False)
    assert steps == [64, 64, 22] * 4  # Python did each of them
    for written, row in zip(as_written, rows, strict=True):
        layers = ["update_ratio_hidden", "update_ratio_output", "dead_units_hidden"]
        in_order = [*CURVES, "gradient_norm", *layers]
        assert [name for name in row if name in in_order] == in_order
        assert written == pytest.approx(row, rel=1e-4)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin a process to a core")
def test_the_number_of_free_cores_does_not_change_a_bit(usual: Trainer) -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from tests.train.samples import *; print(repr(run(trainer(MLP, study({'hidden_units': 24})))))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    variables = os.environ | {"TF_NUM_INTRAOP_THREADS": "7", "TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(run(usual))


def test_a_rate_that_is_far_too_high_stops_at_the_epoch_that_diverged(usual: Trainer) -> None:
    rows = run(usual, rate=1e30)
    assert len(rows) < 4
    assert [loop.is_diverged(row) for row in rows] == [False] * (len(rows) - 1) + [True]


def test_measures_are_what_the_documentation_defines(usual: Trainer) -> None:
    first, *_, row = run(usual)
    kernel, bias, *_ = usual.model.get_weights()
    hidden = np.maximum(scaled(VALIDATION.inputs).reshape(len(VALIDATION.labels), -1) @ kernel + bias, 0)
    assert row["dead_units_hidden"] == pytest.approx((hidden.max(axis=0) == 0).mean())
    loss, accuracy, predictions = usual.evaluate(VALIDATION)
    assert (row["val_loss"], row["val_accuracy"]) == pytest.approx((loss, accuracy))
    assert predictions.dtype == np.int32
    assert (predictions == VALIDATION.labels.argmax(1)).mean() == pytest.approx(accuracy)
    # Adam's step is at most some times the rate for each weight: the ratio follows the rate.
    slow = run(usual, rate=RATE / 100)[0]
    for name in ("update_ratio_hidden", "update_ratio_output"):
        assert slow[name] == pytest.approx(first[name] / 100, rel=0.5)
    assert row["gradient_norm"] > 0


NESTED = sequential(
    "keras.Sequential([layers.Conv2D(4, 3, activation='relu', name='conv'), layers.Flatten()], name='block')",
    "layers.Dense(5, name='middle')",
    "layers.ReLU(name='rectified')",
)
TWICE = """
inputs = keras.Input(input_shape)
relu = layers.ReLU(name="relu")
row = relu(layers.Flatten(name="row")(inputs))
again = relu(layers.Dense(4, bias_initializer=keras.initializers.Constant(-1e3), name="dense")(row))
return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="answer")(again))
"""


@pytest.mark.parametrize(
    ("file", "kernels", "rectified"),
    [
        (NESTED, ["block.conv", "middle", "dense"], ["block.conv", "rectified"]),
        (network(TWICE.replace("-1e3", "0")), ["dense", "answer"], ["relu"]),
        *(
            (
                sequential(
                    "layers.Reshape((6, 6))", f"layers.{name}(4, activation='relu', name='recurrent')"
                ),
                [f"recurrent.{cell}", "dense"],
                ["recurrent"],
            )
            for name, cell in (("LSTM", "lstm_cell"), ("GRU", "gru_cell"))
        ),
        (sequential("layers.Flatten()"), ["dense"], []),
        (sequential("layers.Flatten()", "layers.Dense(4, trainable=False)"), ["dense_1"], []),
    ],
    ids=[
        "a model in a model",
        "a layer used twice",
        "LSTM",
        "GRU",
        "no hidden layer",
        "a frozen layer",
    ],
)
def test_layers_are_measured_wherever_they_are(file: Any, kernels: list[str], rectified: list[str]) -> None:
    rows = run(trainer(file, study()))
    names = [f"update_ratio_{name}" for name in kernels] + [f"dead_units_{name}" for name in rectified]
    assert sorted(name for name in rows[0] if name.startswith(("update_", "dead_"))) == sorted(names)
    assert all(row[f"update_ratio_{name}"] > 0 for row in rows for name in kernels)
    assert all(0 <= row[f"dead_units_{name}"] <= 1 for row in rows for name in rectified)


def test_dead_units_are_counted_in_each_use_of_a_layer_and_in_layers_inside_others() -> None:
    twice = run(trainer(network(TWICE), study()))[-1]["dead_units_relu"]
    lit = (VALIDATION.inputs.reshape(len(VALIDATION.labels), -1).max(axis=0) > 0).sum()
    assert twice == pytest.approx(1 - lit / (36 + 4))  # its second use answers nothing but 0
    nested = trainer(NESTED, study())
    row = run(nested)[-1]
    conv = nested.model.get_layer("block").get_layer("conv")
    highest = np.asarray(conv(scaled(VALIDATION.inputs))).max(axis=(0, 1, 2))
    assert row["dead_units_block.conv"] == (highest == 0).mean()


def test_a_network_is_built_before_it_is_trained_also_if_its_file_leaves_that_to_the_first_inputs() -> None:
    """Keras makes the weights of such a model when it first sees inputs."""
    layers = "layers.Flatten(), layers.Dense(classes, activation='softmax')"
    late = network(f"return keras.Sequential([{layers}])")
    early = network(f"return keras.Sequential([keras.Input(input_shape), {layers}])")
    assert run(trainer(late, study())) == run(trainer(early, study()))


def test_bfloat16_trains_and_saves_what_was_validated() -> None:
    settings = study(HIDDEN, train={"precision": "bfloat16"})
    mixed = trainer(MLP, settings)
    rows, exact = run(mixed), run(trainer(MLP, study(HIDDEN)))
    assert rows != exact
    assert rows[-1]["loss"] == pytest.approx(exact[-1]["loss"], rel=0.05)
    assert {weight.dtype for weight in mixed.model.get_weights()} == {np.dtype(np.float32)}
    assert keras.config.dtype_policy().name == "float32"  # nobody else's layers change
    outputs = mixed.model.predict(scaled(VALIDATION.inputs), verbose=0)
    assert (outputs.argmax(1) == mixed.evaluate(VALIDATION)[2]).all()


def test_an_epoch_sees_every_example_once_in_an_order_of_its_own() -> None:
    first, second = loop.order(0, 1, 1000), loop.order(0, 2, 1000)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, loop.order(1, 1, 1000))
    assert np.array_equal(first, loop.order(0, 1, 1000))


def test_a_step_at_a_time_is_what_an_epoch_is_made_of(usual: Trainer) -> None:
    """The range test trains by steps."""
    (*_, rows) = usual.train(RATE, SEED)
    weights = usual.network()
    usual.reset(SEED)
    losses = []
    for epoch in (1, 2, 3, 4):
        order = loop.order(SEED, epoch, len(TRAIN.labels))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        losses.append(sum(len(batch) * float(usual.step(batch, RATE)[0]) for batch in batches) / len(order))
    assert losses == pytest.approx([row["loss"] for row in rows], rel=1e-6)
    for got, expected in zip(usual.network(), weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_more_examples_than_are_evaluated_at_once_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_AT_ONCE", 32)
    small = trainer(MLP, study(HIDDEN))
    monkeypatch.undo()
    row = run(small)[-1]
    assert row == pytest.approx(run(trainer(MLP, study(HIDDEN)))[-1], rel=1e-5)
    assert task_of(TRAIN).sizes["validation"] == 80
