"""Studies made up for the report's tests: curves shaped like real ones, folders as the stages leave them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from pipeline import params
from pipeline.core import arrays, files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core import task as tasks
from pipeline.core.task import GREY_LEVELS, Task
from tests.conftest import ROOT

TEST, VALIDATION = 400, 500
"""Examples of the made-up studies."""

MNIST = Task("mnist", (28, 28, 1), tuple("0123456789"), GREY_LEVELS, {})

Curve = Callable[[float, int, int], pd.DataFrame]
"""From rate, seed and epochs to a history."""


def history(loss: Sequence[float], val_loss: Sequence[float], **columns: Sequence[float]) -> pd.DataFrame:
    """A history with these losses; accuracies follow them unless they are given."""
    loss, val_loss = np.asarray(loss, np.float64), np.asarray(val_loss, np.float64)
    table = {"epoch": np.arange(1, len(loss) + 1)} | {"gradient_norm": 0.1 + loss}
    table |= {
        "loss": loss,
        "accuracy": np.exp(-0.6 * loss),
        "val_loss": val_loss,
        "val_accuracy": np.round(np.exp(-0.3 * val_loss) * VALIDATION) / VALIDATION,
        "update_ratio_hidden": 0.01 * np.ones_like(loss),
        "update_ratio_output": 0.02 * np.ones_like(loss),
        "dead_units_hidden": np.linspace(0, 0.1, len(loss)),
    }
    return pd.DataFrame(table | columns)


def realistic(rate: float, seed: int, epochs: int) -> pd.DataFrame:
    """Low rates fall smoothly and slowly, high ones stop high and go up and down; 0.3 and above diverge."""
    noise = np.random.default_rng([seed, int(1e6 * rate)])
    time = np.arange(1, epochs + 1)
    floor = 0.12 * (rate / 0.1) ** 1.5
    loss = 1.4 * np.exp(-3 * np.sqrt(time * min(rate, 0.003) / 0.001) * 0.35) + floor + 2e-4
    unrest = min(0.3, 0.02 + 3 * rate) if rate > 0.005 else 0.004
    loss = loss * np.exp(noise.normal(0, unrest, epochs))
    val_loss = 0.055 + 0.9 * loss + 0.002 * np.log(time) * (rate >= 0.001)
    val_loss = val_loss * np.exp(noise.normal(0, 0.01 + unrest / 3, epochs))
    table = history(loss, val_loss)
    if rate >= 0.3:
        end = 2 + seed % 3
        table = table.iloc[:end].copy()
        table.loc[table.index[-1], ["loss", "val_loss"]] = np.nan
    return table


def write_study(
    folder: Path,
    rates: Sequence[float] = (0.1, 0.01, 0.001, 0.0001),
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int = 20,
    curve: Curve = realistic,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    task: Task = MNIST,
) -> Path:
    """Make a folder in which `report(Path("data/scaled"), Path("runs"), Path("report"))` can run."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["data"] |= {"validation_size": VALIDATION, "dataset": task.dataset}
    values["train"] |= {"learning_rates": list(rates), "seeds": list(seeds), "epochs": epochs}
    for section, entries in (overrides or {}).items():
        values[section] |= entries
    files.write_text(folder / "params.yaml", _to_yaml(values))
    listed = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][
        "train"
    ]
    definition = {"stages": {"train": {"deps": ["data/scaled"], "params": listed["params"]}}}
    files.write_text(folder / "dvc.yaml", _to_yaml(definition))
    held_out = values["data"]["validation_size"]
    labels = write_arrays(
        folder / "data/scaled", task._replace(sizes={"train": 50, "validation": held_out, "test": TEST})
    )
    study = run_keys.inputs(params.load(folder / "params.yaml").values(), folder)
    for rate in rates:
        for seed in seeds:
            write_run(folder / "runs", rate, seed, curve(rate, seed, epochs), labels, values)
            path = run_folders.folder(folder / "runs", rate, seed) / run_folders.METRICS
            files.write_json(path, files.read_json(path) | {"run_key": run_keys.key_of(study, rate, seed)})
    return folder


def write_arrays(scaled: Path, task: Task) -> np.ndarray:
    """Small stand-ins for stage scale's files; returns the test labels."""
    noise = np.random.default_rng(7)
    test = np.array([])
    for part, count in task.sizes.items():
        test = noise.integers(0, len(task.classes), count)
        arrays.write(scaled / f"{part}_labels.npy", np.eye(len(task.classes), dtype=np.float32)[test])
        arrays.write(scaled / f"{part}_inputs.npy", np.zeros((count, *task.shape), np.float32))
    tasks.write(scaled, task)
    return test


def write_run(
    runs: Path, rate: float, seed: int, table: pd.DataFrame, labels: np.ndarray, values: Mapping[str, Any]
) -> None:
    """Write a run's folder as stage train does, less the model, which the report does not read."""
    noise = np.random.default_rng([seed, int(1e6 * rate), 1])
    diverged = not np.isfinite(table["loss"].iloc[-1])
    keep, accuracies = values["train"]["keep"], table["val_accuracy"]
    kept = int(accuracies.argmax()) + 1 if keep == "best_epoch" else len(table)
    wrong = noise.random(len(labels)) > accuracies[kept - 1]
    predictions = np.where(wrong, (labels + 1) % (labels.max() + 1), labels).astype(np.int32)
    folder = run_folders.folder(runs, rate, seed)
    measures = list(table.columns[1:])
    run_folders.write_history(folder / run_folders.HISTORY, measures, table[measures].to_numpy().tolist())
    arrays.write(folder / run_folders.PREDICTIONS, np.full_like(predictions, -1) if diverged else predictions)
    tested = {"loss": 0.1, "accuracy": float((predictions == labels).mean())}
    metrics = {
        "dataset": values["data"]["dataset"],
        "learning_rate": rate,
        "seed": seed,
        "run_key": "0" * 64,
        "validation_data": "validation" if values["data"]["validation_size"] else "test",
        "epochs": len(table),
        "epochs_configured": values["train"]["epochs"],
        "diverged_epoch": len(table) if diverged else None,
        "kept": {"rule": keep, "epoch": None if diverged else kept},
        "test": dict.fromkeys(tested) if diverged else tested,
    }
    files.write_json(folder / run_folders.METRICS, metrics)


def write_range_test(folder: Path, suggestions: Mapping[str, float]) -> None:
    """Write stage range_test's folder: a loss that falls and then diverges, and these rates by rule."""
    steps = 40
    rates = np.geomspace(1e-5, 1, steps)
    table = pd.DataFrame(
        {
            "seed": np.repeat([0, 1], steps),
            "step": np.tile(np.arange(1, steps + 1), 2),
            "learning_rate": np.tile(rates, 2),
            "loss": 2.0,
            "smoothed": np.tile(np.where(rates < 0.1, 2.3 - np.log10(rates / 1e-5) / 3, np.nan), 2),
        }
    )
    folder.mkdir()
    table.to_csv(folder / "range_test.csv", index=False)
    files.write_json(
        folder / "suggestions.json",
        {rule: {"median": rate, "low": rate, "high": rate} for rule, rate in suggestions.items()},
    )


def _to_yaml(values: Any) -> str:
    import io

    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(values, stream)
    return stream.getvalue()
