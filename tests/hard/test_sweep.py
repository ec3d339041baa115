"""The sweep against `dvc repro`: the same dvc.lock, outputs and runs in MLflow, whatever came between."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.commands.sweep.display import Display
from pipeline.verification import locks
from pipeline.verification import record as machines
from tests.conftest import make_project
from tests.hard.conftest import run_dvc, run_pipeline
from tests.test_sweep import FILES

pytestmark = pytest.mark.hard


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = make_project(tmp_path_factory.mktemp("sweep") / "project")
    done = run_pipeline(place, "sweep")
    assert done.returncode == 0, done.stderr
    assert "0 runs up to date, 0 in DVC's run cache, 2 to train" in done.stderr
    assert "2/2 runs done, 0 running, 0 failed" in done.stderr
    assert "warning" not in done.stderr
    beyond = re.search(r"beyond its epochs, a run took its worker (\d+\.\d\d) s \(median of 2\)", done.stderr)
    assert beyond
    assert 0 < float(beyond[1]) < 60
    return place


def test_afterwards_dvc_finds_nothing_to_do(swept: Path) -> None:
    assert "up to date" in run_dvc(swept, "status").stdout
    left = {path.name for path in swept.glob("runs/**/*") if path.is_file()} - {".gitignore"}
    assert left == set(FILES)


def test_the_environment_of_the_new_runs_is_noted(swept: Path) -> None:
    noted = machines.read(swept / machines.FILE)["outputs"]
    lock = locks.parse((swept / "dvc.lock").read_text(encoding="utf-8"))
    for path in ("runs/lr-0.01/seed-0", "runs/lr-0.001/seed-0"):
        (md5,) = [stage.outs[path] for stage in lock.values() if path in stage.outs]
        assert noted[path]["md5"] == md5


def test_dvc_repro_trains_the_same_bytes_and_leaves_the_same_lock(swept: Path) -> None:
    before = (swept / "dvc.lock").read_text(encoding="utf-8")
    done = run_dvc(swept, "repro", "--force", "--single-item", "train@0.01-0")
    assert done.returncode == 0, done.stderr
    assert (swept / "dvc.lock").read_text(encoding="utf-8") == before


def test_runs_are_in_mlflow_with_every_epoch(swept: Path) -> None:
    with sqlite3.connect(swept / "mlflow.db") as store:
        runs = store.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        steps = store.execute("SELECT DISTINCT step FROM metrics WHERE key = 'val_loss'").fetchall()
    assert runs == [("lr-0.001 seed-0", "FINISHED"), ("lr-0.01 seed-0", "FINISHED")]
    assert sorted(steps) == [(1,), (2,), (3,)]


def test_what_the_run_cache_holds_is_restored_without_training(swept: Path) -> None:
    before = (swept / "dvc.lock").read_text(encoding="utf-8")
    (swept / "dvc.lock").unlink()
    shutil.rmtree(swept / "runs")
    dry = run_pipeline(swept, "sweep", "--dry-run")
    assert "up to date: it would be made first" in dry.stdout
    assert not (swept / "dvc.lock").exists()
    done = run_pipeline(swept, "sweep")
    assert done.returncode == 0, done.stderr
    assert "2 in DVC's run cache, 0 to train" in done.stderr
    assert (swept / "dvc.lock").read_text(encoding="utf-8") == before


def test_a_second_sweep_beside_the_first_says_so(swept: Path) -> None:
    with FileLock(swept / ".scratch/sweep/lock"):
        done = run_pipeline(swept, "sweep")
    assert done.returncode == 1
    assert "expected to be the only sweep in this repository, got another one at work" in done.stderr
    assert "Wait for it" in done.stderr


def test_metrics_of_a_run_hold_what_the_display_reads(swept: Path) -> None:
    metrics = json.loads((swept / "runs/lr-0.01/seed-0/metrics.json").read_text())
    display = Display(1, 3)
    display.finished(0, metrics)
    assert display.best == (metrics["best"]["val_accuracy"], 0.01, 0)
