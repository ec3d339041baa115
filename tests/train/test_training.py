"""The loop against Keras' own, against itself interrupted, and against what its measures are defined as."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.core.measures import MEASURES
from pipeline.core.runs import CURVES
from pipeline.networks import mlp
from pipeline.train import backend, loop
from pipeline.train.backend import keras
from pipeline.train.checkpoints import EpochRow, State
from pipeline.train.images import Images
from pipeline.train.loop import Trainer
from tests.conftest import ROOT, random_images

TRAIN, VALIDATION = Images(*random_images(300)), Images(*random_images(120, seed=1, unlit=0))
RATE, SEED, BATCH, HIDDEN, THREADS = 0.01, 3, 128, 24, 2  # 300 images in batches of 128: the last one has 44


@pytest.fixture(scope="module", autouse=True)  # threads are configured before anything is computed, or never
def trainer() -> Trainer:
    backend.configure(THREADS)
    return Trainer(TRAIN, VALIDATION, BATCH, HIDDEN)


def run(trainer: Trainer, epochs: int, start: State | None = None, rate: float = RATE) -> list[EpochRow]:
    return list(trainer.train(rate, SEED, epochs, start))[-1]


def test_agrees_with_stock_fit_on_the_same_batches_to_rounding(trainer: Trainer) -> None:
    rows = run(trainer, 3)
    stock = mlp.build(HIDDEN, SEED)
    stock.compile(keras.optimizers.Adam(RATE), "categorical_crossentropy", metrics=["accuracy"])
    validation = (VALIDATION.levels / np.float32(255), VALIDATION.labels)
    for epoch, row in enumerate(rows, start=1):
        order = loop.order(SEED, epoch, len(TRAIN.labels))
        pixels, labels = TRAIN.levels[order] / np.float32(255), TRAIN.labels[order]
        fit = stock.fit(pixels, labels, BATCH, validation_data=validation, shuffle=False, verbose=0)
        assert {name: row[name] for name in CURVES} == {
            name: pytest.approx(fit.history[name][0], rel=2e-4) for name in CURVES
        }
    for ours, theirs in zip(trainer.model().get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_the_graph_computes_what_its_python_says(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGraph rewrites the loop; run operation by operation, as written, it comes to the same."""
    rows = run(trainer, 2)
    steps, step = [], trainer._step
    monkeypatch.setattr(trainer, "_step", lambda chosen: steps.append(len(chosen)) or step(chosen))
    backend.tf.config.run_functions_eagerly(True)
    try:
        as_written = run(trainer, 2)
    finally:
        backend.tf.config.run_functions_eagerly(False)
    assert steps == [128, 128, 44] * 2  # Python did each of them
    for written, row in zip(as_written, rows, strict=True):
        assert list(row) == [measure.name for measure in MEASURES]
        assert written == pytest.approx(row, rel=1e-4)


def test_the_same_run_gives_the_same_bits_also_after_another_run(trainer: Trainer) -> None:
    first, weights = run(trainer, 2), trainer.model().get_weights()
    list(trainer.train(0.1, 99, 2))
    assert run(trainer, 2) == first
    assert all(map(np.array_equal, trainer.model().get_weights(), weights))


def test_goes_on_from_a_snapshot_as_if_never_interrupted(trainer: Trainer) -> None:
    whole, weights = run(trainer, 4), trainer.model().get_weights()
    for rows in trainer.train(RATE, SEED, 4):
        if len(rows) == 2:
            kept = State(list(rows), trainer.variables())
            break
    run(trainer, 3, rate=0.5)  # somebody else's work in between
    assert run(trainer, 4, kept) == whole
    assert all(map(np.array_equal, trainer.model().get_weights(), weights))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot pin a process to a core")
def test_the_number_of_free_cores_does_not_change_a_bit(trainer: Trainer) -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from tests.train.test_training import *; backend.configure(THREADS);"
        "print(repr(run(Trainer(TRAIN, VALIDATION, BATCH, HIDDEN), 2)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    variables = os.environ | {"TF_NUM_INTRAOP_THREADS": "7", "TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(run(trainer, 2))


def test_a_rate_that_is_far_too_high_stops_at_the_epoch_that_diverged(trainer: Trainer) -> None:
    rows = run(trainer, 5, rate=1e30)
    assert len(rows) < 5
    assert [loop.is_diverged(row) for row in rows] == [False] * (len(rows) - 1) + [True]


def test_pixels_that_are_never_lit_keep_their_initial_weights(trainer: Trainer) -> None:
    run(trainer, 1)
    kernel, initial = trainer.model().get_weights()[0], mlp.build(HIDDEN, SEED).get_weights()[0]
    assert np.array_equal(kernel[:40], initial[:40])
    assert not np.isclose(kernel[40:], initial[40:]).all()


def test_measures_are_what_the_documentation_defines(trainer: Trainer) -> None:
    (row,) = run(trainer, 1)
    kernel, bias, *_ = trainer.model().get_weights()
    hidden = np.maximum(VALIDATION.levels / np.float32(255) @ kernel + bias, 0)
    assert row["dead_units"] == pytest.approx((hidden.max(axis=0) == 0).mean())
    loss, accuracy, predictions = trainer.evaluate(VALIDATION)
    assert (row["val_loss"], row["val_accuracy"]) == pytest.approx((loss, accuracy))
    assert (predictions == VALIDATION.labels.argmax(1)).mean() == pytest.approx(accuracy)
    # Adam's step is at most some times the rate for each weight: the ratio follows the rate.
    (slow,) = run(trainer, 1, rate=RATE / 100)
    for name in ("update_ratio_hidden", "update_ratio_output"):
        assert slow[name] == pytest.approx(row[name] / 100, rel=0.5)
    assert row["gradient_norm"] > 0


def test_bfloat16_trains_and_saves_the_same_kind_of_model() -> None:
    mixed = Trainer(TRAIN, VALIDATION, BATCH, HIDDEN, "bfloat16")
    exact = Trainer(TRAIN, VALIDATION, BATCH, HIDDEN)
    rows = run(mixed, 2), run(exact, 2)
    assert rows[0] != rows[1]
    assert rows[0][-1]["loss"] == pytest.approx(rows[1][-1]["loss"], rel=0.05)
    assert mixed.model().get_config() == exact.model().get_config()


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    first, second = loop.order(0, 1, 1000), loop.order(0, 2, 1000)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, loop.order(1, 1, 1000))
    assert np.array_equal(first, loop.order(0, 1, 1000))
