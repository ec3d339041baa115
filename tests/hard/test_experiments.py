"""Experiments in temporary copies: their runs are in the repository's store, artifacts included."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until_delivered
from tests.hard.conftest import run_dvc

pytestmark = pytest.mark.hard

SHOW = """
import json, sys
from pathlib import Path
from mlflow import MlflowClient
client = MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db")
ids = [experiment.experiment_id for experiment in client.search_experiments()]
runs = client.search_runs(ids, "tags.kind = 'run'")
print(json.dumps([
    {
        "name": run.info.run_name,
        "status": run.info.status,
        "experiment": run.data.tags.get("dvc.experiment"),
        "history": Path(client.download_artifacts(run.info.run_id, "history.csv")).read_text().count("\\n"),
    }
    for run in runs
]))
"""


def shown(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, folder], capture_output=True, text=True, check=True, cwd="/"
    )
    runs: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return runs


@pytest.mark.parametrize("way", [["--temp"], ["--queue"]], ids=["temp", "queue"])
def test_an_experiment_in_a_temporary_copy_is_in_the_repositorys_store(study: Path, way: list[str]) -> None:
    change = ["--name", "lower", "-S", "train.learning_rates=[0.01,0.001,0.003]"]
    done = run_dvc(study, "exp", "run", *way, *change)
    assert done.returncode == 0, done.stderr
    if way == ["--queue"]:
        done = run_dvc(study, "exp", "run", "--run-all")
        assert done.returncode == 0, done.stderr

    wait_until_delivered(study)
    (new,) = [run for run in shown(study) if run["experiment"]]
    assert new == {"name": "lr-0.003 seed-0", "status": "FINISHED", "experiment": "lower", "history": 4}
    assert not (study / "runs/lr-0.003").exists()  # the workspace is as it was
    assert not list((study / ".dvc/tmp/exps").rglob("mlflow.db"))
