"""The sweep against `dvc repro`: the same dvc.lock, outputs, caches and runs in MLflow."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.sweep.display import Display
from tests.hard.conftest import EPOCHS, RUNS, Swept, assert_same, run_dvc, run_pipeline
from tests.sweep.conftest import FILES, opened

pytestmark = pytest.mark.hard


@pytest.fixture
def copy(swept: Swept, tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept.folder, tmp_path / "study", symlinks=True))


def test_a_sweep_from_nothing_leaves_what_dvc_repro_leaves(swept: Swept, trained: Path) -> None:
    assert_same(swept.folder, trained)
    ours, theirs = (sorted(entries(folder)) for folder in (swept.folder, trained))
    assert ours == theirs  # the run cache too
    left = {path.name for path in swept.folder.glob("runs/**/*") if path.is_file()} - {".gitignore"}
    assert left == set(FILES)


def entries(folder: Path) -> Iterator[str]:
    """The names in DVC's cache: hashes of contents, and of what the run cache says."""
    for path in (folder / ".dvc/cache").rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder / ".dvc/cache"))


def test_it_says_what_it_does_how_far_it_is_and_what_a_run_costs(swept: Swept) -> None:
    assert f"0 runs up to date, 0 in DVC's run cache, {RUNS} to train" in swept.stderr
    assert f"{RUNS}/{RUNS} runs done, 0 running, 0 failed" in swept.stderr
    assert "warning" not in swept.stderr
    beyond = re.search(
        r"beyond its epochs, a run took its worker (\d+\.\d\d) s \(median of 4\)", swept.stderr
    )
    assert beyond
    assert 0 < float(beyond[1]) < swept.seconds


def test_runs_are_in_mlflow_with_every_epoch(swept: Swept) -> None:
    with sqlite3.connect(swept.folder / "mlflow.db") as store:
        runs = store.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        steps = store.execute("SELECT DISTINCT step FROM metrics WHERE key = 'val_loss'").fetchall()
    names = [f"lr-{rate} seed-{seed}" for rate in (0.001, 0.01) for seed in (0, 1)]
    assert runs == [(name, "FINISHED") for name in names]
    assert sorted(steps) == [(step,) for step in range(1, EPOCHS + 1)]


def test_what_the_run_cache_holds_is_restored_without_training(copy: Path) -> None:
    before = (copy / "dvc.lock").read_text(encoding="utf-8")
    (copy / "dvc.lock").unlink()
    shutil.rmtree(copy / "runs")
    dry = run_pipeline(copy, "sweep", "--dry-run")
    assert "up to date: it would be made first" in dry.stdout
    assert not (copy / "dvc.lock").exists()
    done = run_pipeline(copy, "sweep")
    assert done.returncode == 0, done.stderr
    assert f"{RUNS} in DVC's run cache, 0 to train" in done.stderr
    assert (copy / "dvc.lock").read_text(encoding="utf-8") == before
    assert "up to date" in run_dvc(copy, "status").stdout


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own, of its library
def test_a_second_sweep_beside_the_first_says_so(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    with opened() as stages, stages.reserve(Path("runs")):
        done = run_pipeline(copy, "sweep")
    assert done.returncode == 1
    assert "expected nobody else at work on these runs" in done.stderr
    assert f"(PID {os.getpid()})" in done.stderr
    assert "Wait for that process" in done.stderr


def test_metrics_of_a_run_hold_what_the_display_reads(swept: Swept) -> None:
    metrics = json.loads((swept.folder / "runs/lr-0.01/seed-0/metrics.json").read_text())
    display = Display(1, EPOCHS)
    display.finish("run", metrics)
    assert display.best == (metrics["best"]["val_accuracy"], 0.01, 0)
