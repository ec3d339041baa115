"""What MLflow should show of a run, made from outputs alone; knows nothing of MLflow."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.core import files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import RunError
from pipeline.core.runs import CURVES
from pipeline.params import Params
from pipeline.tracking.data import Data

if TYPE_CHECKING:
    import pandas as pd  # a training has no use for it

LAYOUT = 4  # raise it when a record is made differently from the same outputs: `publish` replaces old runs


class Row(NamedTuple):
    """A metric's value at a step; never NaN or infinite, which break MLflow's pages (mlflow#16555)."""

    key: str
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """What MLflow should show under one key; it has at most one run with it."""

    key: str
    name: str
    params: dict[str, str]  # the same for every run with the key, whenever and wherever it ran
    numbers: list[Row]  # those of no epoch
    tags: dict[str, str]
    digest: str  # of all outputs: MLflow's run that carries it is complete
    files: dict[str, Path]  # to upload as they are, by their path there
    data: Data | None = None
    network: Path | None = None  # the .keras file; there are data, too
    history: "pd.DataFrame | None" = None  # of a run: it has a chart, too

    @property
    def columns(self) -> list[str]:
        """Name what each epoch has."""
        return (
            []
            if self.history is None
            else [valid_name(name) for name in map(str, self.history) if name != "epoch"]
        )

    @property
    def rows(self) -> list[Row]:
        """List all metrics, anew each time: for some ten thousand epochs they are a million."""
        epochs = [] if self.history is None else self.history.to_dict("records")
        return [*(row for measures in epochs for row in finite_rows(measures)), *self.numbers]


def of_run(values: dict[str, str], data: Data, runs: Path, learning_rate: float, seed: int) -> Record:
    """Make the record of a run's folder under `runs`, trained with the params `values` (`run_params`).

    Raises:
        RunError: there is no such run, it is damaged, or it was trained with other parameters.
    """
    run = run_folders.read(runs, learning_rate, seed)
    folder = run_folders.folder(runs, learning_rate, seed)
    for name, trained in (
        ("dataset", run.metrics.get("dataset")),
        ("epochs", run.metrics.get("epochs_configured")),
        ("keep", run.metrics.get("kept", {}).get("rule")),
    ):
        if values[name] != str(trained):
            raise RunError(
                f"{folder}: expected a run with {name} {values[name]} as in params.yaml, got {trained}. "
                "Run `dvc repro` to train it again."
            )
    kept = run.metrics["kept"]["epoch"]
    # Also what MLflow's tables could not show: they have a metric's last value, never that of the epoch kept.
    parts = {part: run.metrics[part] for part in ("final", "best", "test")}
    parts["kept"] = {name: run.history.at[kept - 1, name] for name in (*CURVES, "epoch")} if kept else {}
    numbers = {f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()}
    numbers |= {"learning_rate": learning_rate, "log10_learning_rate": math.log10(learning_rate)}
    numbers |= {"epochs_trained": run.metrics["epochs"], "epoch": 0}
    diverged = run.metrics.get("diverged_epoch")
    tags = identity_tags(data) | ({"diverged_epoch": str(diverged)} if diverged is not None else {})
    name = run_name(learning_rate, seed)

    return Record(
        key=run.metrics["run_key"],
        name=name,
        params=values,
        numbers=finite_rows(numbers),
        tags=tags,
        digest=outputs_digest(values, folder),
        files={
            name: folder / name
            for name in (run_folders.HISTORY, run_folders.METRICS, run_folders.PREDICTIONS)
        },
        data=data,
        network=folder / run_folders.MODEL,
        history=run.history,
    )


def run_name(learning_rate: float, seed: int) -> str:
    return f"lr-{learning_rate} seed-{seed}"


def run_params(params: Params, learning_rate: float, seed: int) -> dict[str, str]:
    return {"learning_rate": str(learning_rate), "seed": str(seed)} | shared_params(params)


def shared_params(params: Params) -> dict[str, str]:
    """Give what all runs of a study have in common, under names that MLflow's search takes unquoted.

    What names a section's choice has the section's name, its values begin with it: `optimizer` is sgd,
    `optimizer_momentum` 0.9. Values that are switched off (null) are left out.
    """
    train = params.train.model_dump(exclude={"learning_rates", "seeds"})
    shown = params.data.model_dump(include={"dataset", "validation_size", "standardise"}) | train
    for section, choice, values in (
        ("network", params.network.file, params.network.values),
        ("optimizer", params.optimizer.name, params.optimizer.values()),
        ("schedule", params.schedule.name, {"warmup": params.schedule.warmup}),
    ):
        shown |= {section: choice} | {f"{section}_{name}": value for name, value in values.items()}
    return {
        valid_name(key): (value if isinstance(value, str) else json.dumps(value))[:6000]
        for key, value in shown.items()
        if value is not None
    }


def identity_tags(data: Data) -> dict[str, str]:
    return {"kind": "run"} | data.tags()


def valid_name(text: str) -> str:
    """Leave out of a name what MLflow takes in none: a rate may be 1e+16, a layer `a>b`."""
    return re.sub(r"[^\w.\- :/]", "", text)


def finite_rows(measures: Mapping[Any, Any]) -> list[Row]:
    """Make a row of each finite measure; the step is the one called `epoch`."""
    return [
        Row(valid_name(key), float(value), int(measures["epoch"]))
        for key, value in measures.items()
        if key != "epoch" and value is not None and math.isfinite(value)
    ]


def outputs_digest(values: Mapping[str, str], folder: Path) -> str:
    """Hash what a record shows: its params and the files of its folder."""
    return run_keys.digest([LAYOUT, values, files.sha256(folder)])
