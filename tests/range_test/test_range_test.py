"""The range test: rules on known curves, and the stage on a few images."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core import arrays, task
from pipeline.core.errors import ParamsError
from pipeline.core.task import AS_THEY_ARE, Task
from pipeline.params import reading
from pipeline.range_test import rules
from pipeline.range_test.stage import range_test as stage
from tests.conftest import ROOT

RATES = np.geomspace(1e-5, 1.0, 101)


def valley() -> np.ndarray:
    """Flat at 2.3, falling from 1e-4, steepest at 1e-3, lowest at 1e-2, then rising."""
    logs = np.log10(RATES)
    return np.where(logs < -2, 2.3 - 1.6 / (1 + np.exp(-4 * (logs + 3))), 0.7 + 0.8 * (logs + 2) ** 2)


def test_the_rules_find_their_rates_on_a_known_curve() -> None:
    suggested = rules.suggest(RATES, valley())
    assert suggested["steepest"] == pytest.approx(1e-3, rel=0.2)
    assert suggested["minimum / 10"] == pytest.approx(1e-3, rel=0.2)
    assert 1e-3 < suggested["valley"] < 1e-2


def test_a_valley_skips_the_rises_within_a_fall_as_its_words_say() -> None:
    """The longest stretch without a rise is the last one; the longest fall goes on from the first."""
    curve = np.array([9.0, 8.0, 7.0, 7.5, 6.0, 5.0, 5.5, 4.0, 3.0, 2.0])
    rates = np.geomspace(0.001, 1, len(curve))
    assert rules.suggest(rates, curve)["valley"] == rates[6]  # of 0 to 9; of the last stretch it were 8
    assert "rises between them skipped" in rules.RULES["valley"]


def test_a_curve_that_never_falls_suggests_nothing() -> None:
    assert rules.suggest(RATES, np.linspace(2.3, 5, len(RATES))) == {}
    assert rules.suggest(RATES, np.full(len(RATES), np.nan)) == {}


def test_smoothing_is_a_running_mean_that_starts_right() -> None:
    assert rules.smooth(np.array([2.0, 2.0, 2.0]), 0.9, 4.0) == pytest.approx([2, 2, 2])
    assert rules.smooth(np.array([1.0, 3.0]), 0.5, 4.0)[1] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)


@pytest.mark.parametrize("end", [np.nan, np.inf, 1000.0])
def test_the_curve_ends_where_the_loss_runs_away(end: float) -> None:
    smoothed = rules.smooth(np.array([2.0, 1.0, 1.0, end, 1.0]), 0.5, 4.0)
    assert np.isfinite(smoothed[:3]).all()
    assert np.isnan(smoothed[3:]).all()


def test_seeds_are_summed_up_by_their_median_on_the_logarithmic_scale() -> None:
    suggested = rules.summarise([{"steepest": 1e-4}, {"steepest": 1e-2}, {}])
    assert suggested == {"steepest": pytest.approx((1e-3, 1e-4, 1e-2))}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the scaled data, the network and the params of a study of one's own; go there."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "own").mkdir()
    shutil.copyfile(ROOT / "pipeline/networks/mlp.py", tmp_path / "own/network.py")
    changes = {
        "data.dataset": "own",
        "network": {"file": "own/network.py", "values": {"hidden_units": 8}},
        "optimizer": {"name": "adamw"},
        "train.seeds": [0, 1],
        "train.batch_size": 50,
        "range_test.steps": 60,
        "range_test.highest": 1000.0,
    }
    reading.override(tmp_path / "params.yaml", changes)
    noise = np.random.default_rng(0)
    labels = noise.integers(0, 5, 200)
    table = 0.1 * noise.random((200, 12), np.float32)
    table[np.arange(200), labels] = 1
    scaled = tmp_path / "scaled"
    arrays.write(scaled / "train_inputs.npy", table)
    arrays.write(scaled / "train_labels.npy", np.eye(5, dtype=np.float32)[labels])
    task.write(scaled, Task("own", (12,), tuple("abcde"), AS_THEY_ARE, {"train": 200}))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("study")
def test_a_batch_of_more_than_there_is_is_refused_as_the_training_refuses_it() -> None:
    reading.override(Path("params.yaml"), {"train.batch_size": 201})

    with pytest.raises(ParamsError) as caught:
        stage(Path("scaled"), Path("range_test"))

    assert str(caught.value) == (
        "train.batch_size: expected at most the 200 training examples, got 201. Change it in params.yaml."
    )
    assert not Path("range_test").exists()


@pytest.mark.usefixtures("study")
def test_the_stage_gives_the_same_bytes_again_and_ends_with_a_divergence() -> None:
    """Of the study's own data, network and optimizer."""
    for name in ("first", "second"):
        stage(Path("scaled"), Path(name))
    for file in ("range_test.csv", "suggestions.json"):
        assert Path("first", file).read_bytes() == Path("second", file).read_bytes()
    written = pd.read_csv("first/range_test.csv")
    rates = written["learning_rate"][:60]
    np.testing.assert_allclose(rates[1:].to_numpy() / rates[:-1].to_numpy(), rates[1] / rates[0])
    assert rates[59] == 1000
    assert list(written.columns) == ["seed", "step", "learning_rate", "loss", "smoothed"]
    assert written.groupby("seed")["step"].count().tolist() == [60, 60]
    assert written["loss"].iloc[0] == pytest.approx(math.log(5), abs=0.5)
    assert written["smoothed"].isna().any()
    assert set(json.loads(Path("first/suggestions.json").read_text())) <= set(rules.RULES)
