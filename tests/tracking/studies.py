"""Studies without training: run folders as the train stage writes them, and what MLflow says about them."""

import hashlib
import json
import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import params
from pipeline.core import arrays, files, run_keys, runs, task
from pipeline.core.task import GREY_LEVELS, Task
from pipeline.params import reading
from pipeline.tracking import data, record
from pipeline.tracking.record import Record
from pipeline.tracking.store import Store

ROOT = Path(__file__).resolve().parents[2]
RATES, SEEDS, EPOCHS = (0.01, 0.001), (0, 1), 3
COLUMNS = (*runs.CURVES, "gradient_norm", "update_ratio_hidden", "update_ratio_output", "dead_units_hidden")
VOLATILE = {"follower"}
TASK = Task(
    "digits", (28, 28, 1), tuple("0123456789"), GREY_LEVELS, {"train": 1400, "validation": 100, "test": 297}
)


def make_study(project: Path) -> None:
    """A project whose train stage depends on one file: params, definition, packages, no data."""
    project.mkdir(parents=True, exist_ok=True)
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, project / name)
    changes = {
        "data.dataset": "digits",
        "data.validation_size": 100,
        "train.learning_rates": list(RATES),
        "train.seeds": list(SEEDS),
        "train.epochs": EPOCHS,
        "train.batch_size": 128,
        "network.values.hidden_units": 16,
    }
    reading.override(project / "params.yaml", changes)
    task.write(project / "data/scaled", TASK)
    (project / "loop.py").write_text("code that can change a run\n", encoding="utf-8")
    definition = {"stages": {"train": {"deps": ["loop.py"], "params": ["train.epochs", "train.batch_size"]}}}
    (project / "dvc.yaml").write_text(json.dumps(definition), encoding="utf-8")


def make_database(empty: Path, project: Path, name: str = "mlflow.db") -> None:
    """Have a store in `project` whose experiment keeps its files there."""
    shutil.copyfile(empty, project / name)
    connection = sqlite3.connect(project / name)
    with connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'learning-rate-study-digits'",
            ((project / "mlartifacts").as_uri(),),
        )
    connection.close()


def record_of(learning_rate: float, seed: int, project: Path = Path()) -> Record:
    """The record of a run that lies under `project`/runs."""
    study = params.load(project / "params.yaml")
    values = record.run_params(study, learning_rate, seed)
    return record.of_run(values, data.read(project / data.SCALED), project / "runs", learning_rate, seed)


def key(learning_rate: float, seed: int, project: Path = Path()) -> str:
    inputs = run_keys.inputs(params.load(project / "params.yaml").values(), project)
    return run_keys.key_of(inputs, learning_rate, seed)


def measures(learning_rate: float, seed: int, epoch: int) -> dict[str, float]:
    """What a training measures in an epoch; floats that need all their digits."""
    return {"epoch": epoch} | {
        column: (1 + seed) / (epoch + number + 3) + learning_rate for number, column in enumerate(COLUMNS)
    }


def write_run(
    project: Path, learning_rate: float, seed: int, *, epochs: int = EPOCHS, diverged: bool = False
) -> Path:
    """Write a run's folder under `project`/runs."""
    rows = [
        [measures(learning_rate, seed, epoch)[column] for column in COLUMNS] for epoch in range(1, epochs + 1)
    ]
    if diverged:
        rows[-1] = [math.nan] * len(COLUMNS)
    folder = runs.folder(project / "runs", learning_rate, seed)
    final = dict(zip(runs.CURVES, rows[-1], strict=False))
    with files.replacing_folder(folder) as temporary:
        runs.write_history(temporary / runs.HISTORY, COLUMNS, rows)
        arrays.write(temporary / runs.PREDICTIONS, np.full(297, -1 if diverged else seed, np.int32))
        (temporary / runs.MODEL).write_bytes(f"network of {learning_rate} and {seed}".encode())
        metrics = {
            "dataset": params.load(project / "params.yaml").data.dataset,
            "learning_rate": learning_rate,
            "seed": seed,
            "run_key": key(learning_rate, seed, project),
            "validation_data": "validation",
            "epochs": epochs,
            "epochs_configured": epochs,
            "diverged_epoch": epochs if diverged else None,
            "final": final,
            "best": {"val_accuracy": 0.5, "val_accuracy_epoch": 1, "val_loss": 0.25, "val_loss_epoch": 2},
            "kept": {"rule": "best_epoch", "epoch": None if diverged else 1},
            "test": dict.fromkeys(("loss", "accuracy"), None if diverged else 0.75),
        }
        files.write_json(temporary / runs.METRICS, metrics)
    return folder


def write_report(project: Path, learning_rate: float | None = 0.01, **more: Any) -> None:
    verdict = {
        "learning_rate": learning_rate,
        "headline": f"Use learning rate {learning_rate}.",
        "detail": ["It reaches 97 %."],
        "reasons": ["Its interval lies above the others."],
        "warnings": [],
        "rates": {"lr-0.01": {"test_accuracy": 0.75, "validation_accuracy": {"mean": 0.5}}},
    }
    files.write_json(project / "report" / "verdict.json", verdict | more)
    files.write_text(project / "report" / "index.html", "<p>The page.\n")


def write_study(project: Path) -> None:
    """All configured runs and the report."""
    for rate in RATES:
        for seed in SEEDS:
            write_run(project, rate, seed)
    write_report(project)


def snapshot(store: Store) -> dict[str, Any]:
    """All that MLflow's pages show of the study's runs, by run key; ids left out."""
    shown = {}
    for run_key, runs_of_key in store.index().items():
        (run,) = runs_of_key
        shown[run_key] = {
            "name": run.info.run_name,
            "status": run.info.status,
            "params": run.data.params,
            "tags": {name: value for name, value in run.data.tags.items() if name not in VOLATILE},
            "metrics": {name: history(store, run, name) for name in run.data.metrics},
            "artifacts": artifacts(store, run),
            "datasets": [item.dataset.digest for item in run.inputs.dataset_inputs],
            "models": [model(store, item.model_id) for item in run.outputs.model_outputs],
        }
    return shown


def history(store: Store, run: Any, name: str) -> list[tuple[int, float]]:
    """Every row that MLflow has of a metric, by step."""
    rows = store.client.get_metric_history(run.info.run_id, name)
    return sorted((row.step, row.value) for row in rows)


def artifacts(store: Store, run: Any) -> dict[str, str]:
    if not store.client.list_artifacts(run.info.run_id):
        return {}
    folder = Path(store.client.download_artifacts(run.info.run_id, ""))
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def model(store: Store, model_id: str) -> tuple[str, str, str | None]:
    shown = store.client.get_logged_model(model_id)
    return shown.name, str(shown.status), shown.tags.get("outputs")


def champion(store: Store) -> tuple[str, str]:
    """Version and run key of the champion."""
    version = store.client.get_model_version_by_alias("digits-classifier", "champion")
    return str(version.version), version.tags["run_key"]
