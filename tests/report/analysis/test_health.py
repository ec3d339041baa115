"""Health labels: each found on its own synthetic curve and on no other; and on shapes measured on MNIST."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import params
from pipeline.report.analysis import health
from pipeline.report.analysis.health import (
    CONVERGED,
    DIVERGED,
    IMPROVING,
    OSCILLATING,
    OVERFITTING,
    SPIKE,
    STUCK,
    UNSETTLED,
    Health,
)
from tests.conftest import ROOT

THRESHOLDS = params.load(ROOT / "params.yaml").report.health


def examine(history: pd.DataFrame) -> Health:
    """Label a run of a task with ten classes."""
    return health.examine(history, THRESHOLDS, math.log(10))


def curve(loss: np.ndarray, val_loss: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"loss": loss, "val_loss": val_loss})


def settled(epochs: int) -> np.ndarray:
    return 0.06 + 0.5 * np.exp(-np.arange(epochs) / (0.08 * epochs))


def synthetic(label: str, epochs: int) -> pd.DataFrame:
    """A curve that shows this label, with a little noise, as real ones have."""
    time = np.arange(epochs)
    noise = np.random.default_rng(3)
    jitter = np.exp(noise.normal(0, 0.002, epochs))
    loss, val_loss = 0.02 + 0.8 * np.exp(-time / (0.08 * epochs)), settled(epochs)
    match label:
        case health.DIVERGED:
            loss = loss * np.where(time < epochs // 2, 1, np.nan)
        case health.STUCK:
            loss, val_loss = 0.3 + 0.5 * np.exp(-time / 1.5), 0.32 + 0.3 * np.exp(-time / 1.5)
        case health.OSCILLATING:
            # Drawn in pairs around the falling curve, so that neither end nor trend depends on chance.
            loss = loss * np.where(time % 2, 1.3, 0.8)
            val_loss = val_loss * np.where(time % 2, 1.04, 0.98)
        case health.SPIKE:
            loss[epochs // 2] *= 30
            val_loss[epochs // 2] *= 4
        case health.OVERFITTING:
            val_loss = val_loss + 0.06 * time / epochs
            loss = 0.4 * np.exp(-3 * time / epochs)
        case health.IMPROVING:
            loss, val_loss = 1.2 / np.sqrt(time + 1), 1.3 / np.sqrt(time + 1)
        case health.UNSETTLED:
            val_loss = 0.5 * np.exp(-1.2 * time / epochs) * np.where(time % 2, 1.12, 0.9)
            loss = 0.5 * np.exp(-time / epochs)
    return curve(loss * jitter, val_loss * jitter)


# Over many epochs even a rough fall is no chance any more, so that `unsettled` is for short runs alone.
CASES = [
    (label, epochs)
    for label in health.LABELS
    for epochs in (20, 100, 500)
    if label != UNSETTLED or epochs == 20
]


@pytest.mark.parametrize(("label", "epochs"), CASES)
def test_each_label_is_found_on_its_curve_and_no_other_is(label: str, epochs: int) -> None:
    assert examine(synthetic(label, epochs)).labels == (label,)


def test_a_run_may_be_stuck_and_rough_at_once() -> None:
    """Rate 0.1 on MNIST, 500 epochs: a training loss near 0.15 that rises every other epoch, by 8 %."""
    noise = np.random.default_rng(0)
    loss = (0.14 + 0.3 * np.exp(-np.arange(500) / 5)) * np.exp(noise.normal(0, 0.08, 500))
    state = examine(curve(loss, 1.4 * loss))
    assert {STUCK, OSCILLATING} <= set(state.labels)
    assert state.roughness > 0.8
    assert 0.4 < state.rising_share < 0.6


def test_a_low_rate_stopped_early_is_still_improving() -> None:
    """Rate 0.0001 on MNIST, 20 epochs, as measured."""
    val_loss = [
        0.809,
        0.429,
        0.325,
        0.276,
        0.245,
        0.226,
        0.209,
        0.197,
        0.186,
        0.175,
        0.167,
        0.160,
        0.154,
        0.148,
    ]
    val_loss += [0.143, 0.138, 0.133, 0.129, 0.125, 0.121]
    loss = np.array(val_loss) * 1.3
    state = examine(curve(loss, np.array(val_loss)))
    assert state == ((IMPROVING,), 0.0, 0.0)


def test_a_spike_from_which_the_run_does_not_come_back_is_none() -> None:
    table = synthetic(CONVERGED, 100)
    table.loc[60:, "loss"] *= 5
    assert SPIKE not in examine(table).labels


def test_what_happens_below_the_floor_changes_nothing() -> None:
    table = synthetic(CONVERGED, 100)
    table["loss"] = np.where(np.arange(100) < 30, table["loss"], 1e-9 * 10 ** np.tile([0.0, 3.0], 50))
    assert examine(table).labels == (CONVERGED,)


def test_a_loss_that_grows_without_nan_has_diverged_too() -> None:
    assert examine(curve(3.0 * 1.5 ** np.arange(20), settled(20))).labels == (DIVERGED,)


def test_a_validation_loss_alone_can_be_infinite() -> None:
    val_loss = settled(20)
    val_loss[-1] = np.inf
    assert examine(curve(settled(20), val_loss)) == ((DIVERGED,), 0.0, 0.0)


def test_a_diverged_run_is_measured_up_to_its_divergence() -> None:
    loss = np.array([8.0, 4.0, 2.0, 4.0, 1.0, np.nan, np.nan])
    state = examine(curve(loss, loss))
    assert state == ((DIVERGED,), pytest.approx(1 / 4), pytest.approx(1 / 4))


@pytest.mark.parametrize(
    ("loss", "diverged"),
    [
        ([3.0, 7.0, 7.0, 7.0], True),  # too short to judge, but for this
        ([1.0] * 6 + [10.0, 10.0], True),  # the end of eight epochs is the last four
        ([3.0, 6.0, 6.0, 6.0, 6.0], False),  # twice is not above twice
        ([3.0, 2.6, 2.6, 2.6, 2.6], False),  # worse than guessing, and always was
        ([0.01, 2.0, 2.0, 2.0, 2.0], False),  # far above the first epoch, yet better than guessing
    ],
)
def test_diverged_is_far_above_the_first_epoch_and_above_guessing(loss: list[float], diverged: bool) -> None:
    values = np.array(loss)
    assert (DIVERGED in examine(curve(values, values)).labels) is diverged


@pytest.mark.parametrize(("loss", "label"), [([0.5, *[0.03] * 7], STUCK), ([0.5, *[1.5] * 7], DIVERGED)])
def test_of_two_classes_a_loss_is_high_that_is_low_for_ten(loss: list[float], label: str) -> None:
    history = curve(np.array(loss), settled(8))

    assert label in health.examine(history, THRESHOLDS, math.log(2)).labels
    assert label not in examine(history).labels


@pytest.mark.parametrize(("fall", "label"), [(0.028, CONVERGED), (0.032, IMPROVING)])
def test_falling_is_measured_from_the_first_to_the_last_epoch_of_the_end(fall: float, label: str) -> None:
    """Eight epochs, of which four are the end: a steady fall by 3 % over three steps is the threshold."""
    val_loss = 0.5 * (1 - fall) ** (np.arange(8) / 3)
    loss = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02, 0.01, 0.009])
    assert examine(curve(loss, val_loss)).labels == (label,)


@pytest.mark.parametrize(("fall", "label"), [(0.028, CONVERGED), (0.032, IMPROVING)])
def test_of_a_long_run_parts_of_the_end_show_the_same_fall(fall: float, label: str) -> None:
    time = np.arange(8000) / 8000
    val_loss = 0.5 * (1 - fall) ** (4 * time)
    assert examine(curve(0.5 * np.exp(-5 * time), val_loss)).labels == (label,)


@pytest.mark.parametrize(
    ("loss", "recovered"),
    [
        ([1.0, 0.5, 5.0, 0.5, 0.5, 0.5], True),  # as low again, no lower
        ([1.0, 0.5, 5.0, 0.8, 0.8, 0.8], False),  # below the first epoch is not yet back
        ([1.0, 0.5, 1.5, 0.5, 0.5, 0.5], False),  # three times is not above three times
    ],
)
def test_a_spike_is_far_above_the_lowest_before_it_and_is_made_good(
    loss: list[float], recovered: bool
) -> None:
    values = np.array(loss)
    assert (SPIKE in examine(curve(values, values)).labels) is recovered


@pytest.mark.parametrize(("rise", "overfits"), [(0.0, False), (0.08, False), (0.12, True)])
def test_overfitting_needs_a_rise_of_a_tenth_while_the_training_loss_falls(
    rise: float, overfits: bool
) -> None:
    val_loss = np.where(np.arange(20) < 10, 0.5, 0.5 * (1 + rise))
    state = examine(curve(0.4 * 0.8 ** np.arange(20), val_loss))
    assert (OVERFITTING in state.labels) is overfits


def test_rising_validation_loss_is_no_overfitting_while_the_training_loss_rises_with_it() -> None:
    time = np.arange(50)
    loss = 0.2 + 0.02 * np.abs(time - 20)
    assert OVERFITTING not in examine(curve(loss, loss)).labels


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_a_few_epochs_are_too_short_to_judge(epochs: int) -> None:
    assert examine(curve(settled(epochs), settled(epochs))).labels == (health.TOO_SHORT,)


def test_five_epochs_are_judged() -> None:
    assert examine(curve(settled(5), settled(5))).labels != (health.TOO_SHORT,)


@pytest.mark.parametrize(
    ("loss", "roughness", "rising_share"),
    [
        ([1.0], np.nan, np.nan),
        ([1.0, 0.5], 0.0, 0.0),
        ([8.0, 4.0, 2.0, 4.0], 1 / 2, 1 / 3),
        ([1.0, 1.5], np.inf, 1.0),
        ([1.0, 1.0, 1.0], 0.0, 0.0),
    ],
)
def test_short_runs_are_measured_all_the_same(
    loss: list[float], roughness: float, rising_share: float
) -> None:
    state = examine(curve(np.array(loss), np.array(loss)))
    assert state[1:] == pytest.approx((roughness, rising_share), nan_ok=True)


def test_roughness_and_rising_share_by_hand() -> None:
    loss = np.array([8.0, 4.0, 2.0, 4.0, 1.0])
    state = examine(curve(loss, loss))
    assert state.roughness == pytest.approx(1 / 4)  # one doubling up, four halvings down
    assert state.rising_share == pytest.approx(1 / 4)
    assert OSCILLATING in state.labels  # a quarter is enough


def test_a_smooth_fall_has_no_roughness_and_a_constant_loss_neither() -> None:
    smooth = 1 / np.arange(1, 21)
    assert examine(curve(smooth, smooth)).roughness == 0
    assert examine(curve(np.ones(10), np.ones(10))).roughness == 0


@given(st.lists(st.floats(0, 1e6) | st.just(float("nan")) | st.just(float("inf")), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_history_gets_a_label(losses: list[float]) -> None:
    state = examine(curve(np.array(losses), np.array(losses)))
    assert state.labels
    assert set(state.labels) <= {*health.LABELS, health.TOO_SHORT}
