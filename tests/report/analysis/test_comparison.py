"""Tables of runs: what a row and a point say, and when a run counts as diverged."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.core.runs import CURVES, Run
from pipeline.report.analysis import comparison
from tests.report.samples import FINE, NAN, SETTING, setting_with, table, trained


def test_a_matrix_has_rates_rising_and_a_column_a_seed() -> None:
    rates, values = comparison.matrix(table({0.1: [1.0, 2.0], 0.01: [3.0, NAN]}), "best_val_accuracy")
    assert rates == (0.01, 0.1)
    np.testing.assert_array_equal(values, [[3.0, NAN], [1.0, 2.0]])


def test_a_rate_without_any_value_keeps_its_row_in_a_matrix() -> None:
    rates, values = comparison.matrix(table({0.3: [NAN, NAN], 0.1: [1.0, 2.0]}), "best_val_accuracy")
    assert rates == (0.1, 0.3)
    np.testing.assert_array_equal(values, [[1.0, 2.0], [NAN, NAN]])


TARGETS = setting_with("report", accuracy_targets=(0.9, 0.955))


def test_a_row_of_the_comparison_says_what_its_run_says() -> None:
    (row,) = comparison.tabulate([trained(0.01, 7, dict(FINE))], TARGETS).to_dict("records")

    assert math.isnan(row.pop("epochs_to_95.5"))
    assert pd.isna(row.pop("diverged_epoch"))
    assert row == {
        "learning_rate": 0.01,
        "seed": 7,
        "epochs": 3,
        "kept_epoch": 2,
        "best_val_accuracy": 0.92,
        "final_val_accuracy": 0.91,
        "final_val_loss": 0.35,
        "best_val_loss": 0.3,
        "final_accuracy": 0.8,
        "final_loss": 0.4,
        "test_accuracy": 0.75,
        "test_loss": 0.875,
        "roughness": 0.0,
        "rising_share": 0.0,
        "epochs_to_90": 2.0,
        "health": "too short to judge",
    }


@pytest.mark.parametrize(("keep", "epoch"), [("best_epoch", 2), ("last_epoch", 3)])
def test_the_criterion_is_the_accuracy_of_the_epoch_that_is_kept(keep: str, epoch: int) -> None:
    run = trained(0.01, 0, dict(FINE), kept={"rule": keep, "epoch": epoch})
    (row,) = comparison.tabulate([run], setting_with("train", keep=keep)).to_dict("records")

    assert row["kept_epoch"] == epoch
    assert row[comparison.CRITERIA[keep]] == FINE["val_accuracy"][epoch - 1]


GROWING = [3.0 * 2.0**epoch for epoch in range(6)]


ACCURACIES = ("best_val_accuracy", "final_val_accuracy", "test_accuracy", "epochs_to_90")


@pytest.mark.parametrize(
    ("run", "epoch"),
    [
        (
            trained(
                0.3,
                0,
                FINE | {"loss": [1.0, 0.5, NAN]},
                diverged_epoch=3,
                test={"accuracy": None, "loss": None},
            ),
            3,
        ),
        (trained(0.3, 0, {"loss": GROWING, "val_loss": GROWING, "val_accuracy": [0.95] * 6}), None),
    ],
    ids=["by NaN", "by growth"],
)
def test_a_diverged_run_has_no_accuracies_whatever_it_reached_before(run: Run, epoch: int | None) -> None:
    (row,) = comparison.tabulate([run], TARGETS).to_dict("records")

    assert all(math.isnan(row[column]) for column in (*ACCURACIES, "best_val_loss", "test_loss"))
    assert pd.isna(row["kept_epoch"])
    assert pd.isna(row["diverged_epoch"]) if epoch is None else row["diverged_epoch"] == epoch
    assert row["epochs"] == len(run.history)


def test_the_comparison_lists_runs_and_all_labels_of_each() -> None:
    rough = {"loss": [0.3, 0.36] * 10, "val_loss": [0.4, 0.44] * 10}
    runs = [trained(0.01, 5, dict(FINE)), trained(0.1, 0, dict(FINE)), trained(0.1, 1, dict(rough))]
    table = comparison.tabulate(runs, SETTING)

    assert table[["learning_rate", "seed"]].to_numpy().tolist() == [[0.01, 5], [0.1, 0], [0.1, 1]]
    assert table["health"].tolist()[2] == "stuck; oscillating"
    assert table[["kept_epoch", "diverged_epoch"]].dtypes.tolist() == [pd.Int64Dtype(), pd.Int64Dtype()]


def test_a_value_that_a_run_lacks_is_missing_in_its_row() -> None:
    run = trained(0.1, 0, dict(FINE), test={"accuracy": None, "loss": 0.5})
    table = comparison.tabulate([run], SETTING)

    assert math.isnan(table["test_accuracy"][0])
    assert table["test_loss"][0] == 0.5


def test_curves_have_a_row_a_point_by_rate_seed_metric_and_epoch() -> None:
    runs = [trained(0.01, 5, dict(FINE)), trained(0.1, 0, dict(FINE)), trained(0.1, 1, dict(FINE))]
    points = comparison.curves(runs)

    assert list(points.columns) == ["learning_rate", "seed", "epoch", "metric", "value"]
    assert points.to_numpy().tolist() == [
        [rate, seed, epoch, metric, FINE[metric][epoch - 1]]
        for rate, seed in ((0.01, 5), (0.1, 0), (0.1, 1))
        for metric in CURVES
        for epoch in (1, 2, 3)
    ]
    assert points.index.tolist() == list(range(36))


def test_epochs_to_an_accuracy() -> None:
    assert comparison.epochs_to(np.array([0.9, 0.95, 0.94, 0.96]), 0.95) == 2
    assert math.isnan(comparison.epochs_to(np.array([0.9, NAN]), 0.95))
