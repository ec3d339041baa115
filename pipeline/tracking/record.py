"""What MLflow should say about one key, made from outputs alone; knows nothing of MLflow."""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.core import files
from pipeline.core import runs as run_folders
from pipeline.core.datasets import DATASETS
from pipeline.core.errors import RunError
from pipeline.params import Params
from pipeline.tracking import chart

LAYOUT = 1
"""Raise it when an entry is made differently from the same outputs: `publish` then completes old ones."""


class Row(NamedTuple):
    """A metric's value at a step; never NaN or infinite, which break MLflow's pages (mlflow#16555)."""

    key: str
    value: float
    step: int


class DatasetFacts(NamedTuple):
    """The data set as MLflow's `log_input` wants it; `digest` has at most 36 characters there."""

    name: str
    digest: str
    source: str
    profile: str


@dataclass(frozen=True)
class Entry:
    """Attributes:

    key: what the entry stands for; MLflow has at most one run with it.
    kind: `run`, or `study` for the report.
    params: never change for a key, so nothing that depends on when or where it ran.
    digest: of all outputs; a run that carries it is complete.
    write_artifacts: fills a folder with the files to upload.
    network: the .keras file.
    """

    key: str
    kind: str
    name: str
    params: dict[str, str]
    rows: tuple[Row, ...]
    tags: dict[str, str]
    digest: str
    write_artifacts: Callable[[Path], None]
    dataset: DatasetFacts | None = None
    network: Path | None = field(default=None)


def run_name(learning_rate: float, seed: int) -> str:
    return f"lr-{learning_rate} seed-{seed}"


def run_params(params: Params, learning_rate: float, seed: int) -> dict[str, str]:
    return {"learning_rate": str(learning_rate), "seed": str(seed)} | shared_params(params)


def shared_params(params: Params) -> dict[str, str]:
    """What all runs of a study have in common."""
    values = params.train.model_dump(exclude={"learning_rates", "seeds"})
    values |= params.data.model_dump(include={"dataset", "validation_size"})
    return {name: str(value) for name, value in values.items()}


def identity_tags(params: Params, run_key: str) -> dict[str, str]:
    dataset = DATASETS[params.data.dataset]
    return {
        "run_key": run_key,
        "kind": "run",
        "dataset": dataset.name,
        **{f"sha256.{file.name}": file.content_sha256 for file in dataset.files},
    }


def epoch_rows(measures: Mapping[str, float]) -> list[Row]:
    """The finite measures of one epoch; `measures` holds its number, counted from 1, as `epoch`."""
    step = int(measures["epoch"])
    return [
        Row(key, float(value), step)
        for key, value in measures.items()
        if key != "epoch" and value is not None and math.isfinite(value)
    ]


def of_run(params: Params, runs: Path, learning_rate: float, seed: int) -> Entry:
    """The entry of a run's folder under `runs`.

    Raises:
        RunError: there is no such run, it is damaged, or it was trained with other parameters.
    """
    run = run_folders.read(runs, learning_rate, seed)
    folder = run_folders.folder(runs, learning_rate, seed)
    _check_params(folder, params, run.metrics)
    rows = [row for measures in _records(run.history) for row in epoch_rows(measures)]
    tags = identity_tags(params, run.metrics["run_key"])
    if (diverged := run.metrics.get("diverged_epoch")) is not None:
        tags["diverged_epoch"] = str(diverged)
    values = run_params(params, learning_rate, seed)
    name = run_name(learning_rate, seed)

    def write_artifacts(place: Path) -> None:
        for file in (run_folders.HISTORY, run_folders.METRICS, run_folders.PREDICTIONS):
            files.write_bytes(place / file, (folder / file).read_bytes())
        chart.draw(place / "loss_and_accuracy.png", run.history, f"{params.data.dataset}, {name}")

    return Entry(
        key=run.metrics["run_key"],
        kind="run",
        name=name,
        params=values,
        rows=(Row("learning_rate", learning_rate, 0), *rows, *summary_rows(run.metrics)),
        tags=tags,
        digest=digest(values, folder),
        write_artifacts=write_artifacts,
        dataset=dataset_facts(params),
        network=folder / run_folders.MODEL,
    )


def summary_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """`final_*`, `best_*` and `test_*`: MLflow's tables show a metric's last value, never its best."""
    named = {f"final_{name}": value for name, value in metrics["final"].items()}
    named |= {f"best_{name}": value for name, value in metrics["best"].items()}
    named |= {f"test_{name}": value for name, value in metrics["test"].items()}
    named["epochs_trained"] = metrics["epochs"]
    return [Row(key, float(value), 0) for key, value in named.items() if value is not None]


def dataset_facts(params: Params) -> DatasetFacts:
    dataset = DATASETS[params.data.dataset]
    hashes = {file.name: file.content_sha256 for file in dataset.files}
    counts = {"training": dataset.train.size - params.data.validation_size, "test": dataset.test.size}
    return DatasetFacts(
        name=dataset.name,
        digest=hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:32],
        source=json.dumps({"tags": {"sha256": hashes}}),
        profile=json.dumps(counts | {"validation": params.data.validation_size}),
    )


def _records(history: pd.DataFrame) -> list[dict[str, float]]:
    columns = {str(name): history[name].tolist() for name in history}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def digest(values: Mapping[str, str], folder: Path) -> str:
    content = json.dumps([LAYOUT, values, files.sha256(folder)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _check_params(folder: Path, params: Params, metrics: Mapping[str, Any]) -> None:
    """A folder that was trained before params.yaml changed must not be told as if it were trained now."""
    for name, configured, trained in (
        ("dataset", params.data.dataset, metrics.get("dataset")),
        ("epochs", params.train.epochs, metrics.get("epochs_configured")),
    ):
        if configured != trained:
            raise RunError(
                f"{folder}: expected a run with {name} {configured} as in params.yaml, got {trained}. "
                "Run `dvc repro` to train it again."
            )


def prepare() -> None:
    """Draw a chart that nobody keeps: the first one imports what all others find ready."""
    history = pd.DataFrame({name: [1.0, 2.0] for name in ("epoch", *run_folders.CURVES)})
    with tempfile.TemporaryDirectory() as temporary:
        chart.draw(Path(temporary) / "chart.png", history, "")
