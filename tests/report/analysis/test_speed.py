"""Which rate is best for a budget of epochs."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.report.analysis import speed
from pipeline.report.analysis.speed import Winner
from tests.report.samples import LUCKY, NAN, setting_with, trained


def winners(
    accuracies: Sequence[Sequence[Sequence[float]]],
    budgets: tuple[int, ...],
    *,
    keep: str = "best_epoch",
    **report: object,
) -> tuple[Winner, ...]:
    """The winners among rates 1, 2, ... whose seeds have these validation accuracies; NaN is a divergence."""
    runs = []
    for rate, seeds in enumerate(accuracies, 1):
        for seed, values in enumerate(seeds):
            losses = [NAN if math.isnan(value) else 1.0 for value in values]
            curves = {"loss": losses, "val_loss": losses, "val_accuracy": list(values)}
            runs.append(trained(float(rate), seed, curves))
    setting = setting_with("report", budgets=budgets, **report)
    train = setting.params.train.model_copy(update={"keep": keep})
    return speed.winners(runs, setting._replace(params=setting.params.model_copy(update={"train": train})))


def test_the_winner_depends_on_the_budget_and_budgets_beyond_the_histories_are_left_out() -> None:
    fast = [np.array([0.9, 0.95, 0.951, 0.952]) + shift for shift in (0, 0.0002, 0.0004)]
    slow = [np.array([0.5, 0.9, 0.96, 0.98]) + shift for shift in (0, 0.0002, 0.0006)]
    best = winners([slow, fast], (1, 2, 4, 5))
    assert [winner[:3] for winner in best] == [(1, 2, ()), (2, 2, ()), (4, 1, ())]


def test_beside_the_winner_stand_the_rates_that_the_verdict_would_not_call_worse() -> None:
    steady = [[0.980], [0.981], [0.982]]
    scattered = [[0.98], [0.5], [0.9]]
    low = [[0.9], [0.901], [0.902]]
    (winner,) = winners([low, scattered, steady], (1,))
    assert (winner.rate, winner.others) == (3, (2,))


def test_a_rate_that_had_diverged_by_then_does_not_win() -> None:
    best = winners([[[0.99, NAN], [0.99, 0.99, 0.99]], [[0.9, 0.9, 0.9]] * 2], (1, 3))
    assert [winner.rate for winner in best] == [1, 2]


def test_a_rate_diverged_by_the_verdicts_rule_does_not_win_either() -> None:
    """Its loss, never NaN, ends high above its first one whatever its accuracies: after 6 epochs, not 2."""
    growing = {"loss": [1.0, 1.0, 9.0, 9.0, 9.0, 9.0], "val_loss": [1.0] * 6, "val_accuracy": [0.99] * 6}
    falling = {"loss": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], "val_loss": [1.0] * 6, "val_accuracy": [0.9] * 6}
    runs = [trained(0.01, seed, dict(falling)) for seed in (0, 1)]
    runs += [trained(0.1, seed, dict(growing)) for seed in (0, 1)]
    best = speed.winners(runs, setting_with("report", budgets=(2, 6, 9)))
    assert [winner[:3] for winner in best] == [(2, 0.1, ()), (6, 0.01, ())]


def test_the_allowed_share_of_diverged_runs_holds_for_budgets_too() -> None:
    accuracies = [[[value] for value in LUCKY[rate]] for rate in (0.001, 0.01, 0.1)]
    (winner,) = winners(accuracies, (1,), diverged_share=0.5)
    assert winner == (1, 2, (3,), pytest.approx(np.mean(LUCKY[0.01])))
    (winner,) = winners(accuracies[2:], (1,), diverged_share=0.5)
    assert winner == (1, 1, (), pytest.approx(0.9885))


def test_the_last_epoch_of_the_budget_is_another_criterion_than_the_best() -> None:
    accuracies = [[[0.5, 0.99, 0.9, 0.1]] * 3, [[0.5, 0.95, 0.95, 0.95]] * 3]
    for keep, rate, mean in (("best_epoch", 1, 0.99), ("last_epoch", 2, 0.95)):
        (winner,) = winners(accuracies, (3,), keep=keep)
        assert (winner.rate, winner.mean) == (rate, pytest.approx(mean))


@pytest.mark.parametrize("schedule", [{"name": "cosine"}, {"name": "linear"}, {"warmup": 0.1}])
def test_under_a_schedule_that_depends_on_the_epochs_nothing_is_said_of_fewer(
    schedule: dict[str, object],
) -> None:
    runs = [trained(0.1, seed, {"loss": [1.0], "val_loss": [1.0]}) for seed in (0, 1)]

    assert speed.winners(runs, setting_with("report", budgets=(1,)))
    assert speed.winners(runs, setting_with("schedule", **schedule)) == ()


def test_no_rate_wins_where_each_has_a_run_that_diverged() -> None:
    best = winners([[[0.9, NAN, NAN], [0.9, 0.9, 0.9]]], (1, 2, 3))
    assert [winner[:3] for winner in best] == [(1, 1, ()), (2, None, None), (3, None, None)]
    assert [math.isnan(winner.mean) for winner in best] == [False, True, True]


BESIDE = [(0.5, 1), (0.98, 1), (0.9799, -1)]
"""Accuracies, and whether a seed raises or lowers them: the last two are in question."""


@pytest.mark.parametrize(("seeds", "others"), [(1, None), (2, (3,))])
def test_which_rates_may_be_as_good_as_the_winner_is_known_from_two_seeds_on(
    seeds: int, others: tuple[int, ...] | None
) -> None:
    shifts = [0.0, 0.0005][:seeds]
    accuracies = [[[value + shift * sign] for shift in shifts] for value, sign in BESIDE]
    (winner,) = winners(accuracies, (1,))
    assert (winner.rate, winner.others) == (2, others)
