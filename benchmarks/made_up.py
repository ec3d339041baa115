"""Studies of any size without training: a checkout of its own, data and runs as large as the real ones."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import sweep
from pipeline import params
from pipeline.core import arrays, files, run_keys, runs, tables, task
from pipeline.range_test import rules

_IMAGES = {"train": 55_000, "validation": 5_000, "test": 10_000}
_NETWORK = 795_010 * 4  # bytes of the default study's weights


def rates(count: int) -> list[float]:
    """List rates from 0.0001 to 0.1, all different at any count."""
    return [float(f"{rate:.6g}") for rate in np.geomspace(1e-4, 0.1, count)]


def data(scaled: Path) -> Path:
    """Write what stage `scale` does, in size and format; labels are random, images are blank."""
    noise, shape = np.random.default_rng(7), (28, 28, 1)
    for part, count in _IMAGES.items():
        labels = np.eye(10, dtype=np.float32)[noise.integers(0, 10, count)]
        arrays.write(scaled / f"{part}_labels.npy", labels)
        arrays.write(scaled / f"{part}_inputs.npy", np.zeros((count, *shape), np.float32))
    task.write(scaled, task.Task("mnist", shape, tuple("0123456789"), task.GREY_LEVELS, _IMAGES))
    return scaled


def study(root: Path, scaled: Path, rates: Sequence[float], seeds: int, epochs: int) -> Path:
    """Copy the checkout, with other params, linked to the data."""
    changes = {"train.learning_rates": list(rates), "train.seeds": list(range(seeds)), "train.epochs": epochs}
    sweep.project(root, {"data.validation_size": _IMAGES["validation"]} | changes)
    shutil.copytree(scaled, root / "data/scaled", copy_function=os.link)
    return root


def write_runs(
    root: Path, *, network: int = _NETWORK, predictions: int = _IMAGES["test"], spare: int = 0
) -> list[str]:
    """Write all configured runs under `root`/runs; return their run keys.

    Args:
        network: bytes of a model.
        predictions: how many test images are predicted.
        spare: measures that a run has beyond the study's own.
    """
    chosen = params.load(root / "params.yaml")
    shared = run_keys.inputs(chosen.values(), root)
    labels = arrays.read(root / "data/scaled/test_labels.npy", np.float32, (None, 10)).argmax(axis=1)
    keys = []
    for rate in chosen.train.learning_rates:
        for seed in chosen.train.seeds:
            key = run_keys.key_of(shared, rate, seed)
            noise = np.random.default_rng([seed, round(1e9 * rate)])
            rows = history(rate, noise, chosen.train.epochs, spare)
            final = dict(zip(runs.CURVES, rows[-1], strict=False))
            wrong = noise.random(predictions) > final["val_accuracy"]
            predicted = (labels[:predictions] + wrong) % 10
            validation_loss, accuracy = ([row[column] for row in rows] for column in (2, 3))
            metrics = {
                "dataset": chosen.data.dataset,
                "learning_rate": rate,
                "seed": seed,
                "run_key": key,
                "validation_data": "validation",
                "epochs": len(rows),
                "epochs_configured": len(rows),
                "diverged_epoch": None,
                "final": final,
                "best": {
                    "val_accuracy": max(accuracy),
                    "val_accuracy_epoch": accuracy.index(max(accuracy)) + 1,
                    "val_loss": min(validation_loss),
                    "val_loss_epoch": validation_loss.index(min(validation_loss)) + 1,
                },
                "kept": {"rule": "best_epoch", "epoch": accuracy.index(max(accuracy)) + 1},
                "test": {"loss": 0.1, "accuracy": float(1 - wrong.mean())},
            }
            folder = runs.folder(root / "runs", rate, seed)
            runs.write_history(folder / runs.HISTORY, names(spare), rows)
            files.write_json(folder / runs.METRICS, metrics)
            arrays.write(folder / runs.PREDICTIONS, predicted.astype(np.int32))
            files.write_bytes(folder / runs.MODEL, noise.bytes(network))
            keys.append(key)
    return keys


def write_range_test(root: Path) -> None:
    """Write stage `range_test`'s outputs: the loss falls until 0.03 and ends soon after."""
    chosen = params.load(root / "params.yaml")
    settings = chosen.range_test
    rates = np.geomspace(settings.lowest, settings.highest, settings.steps)
    parts, suggested = [], []
    for seed in chosen.train.seeds:
        noise = np.random.default_rng([seed, 1])
        loss = 0.3 + 2 / (1 + rates / 1e-3) + 20 * rates**2 + noise.normal(0, 0.01, len(rates))
        smoothed = rules.smooth(loss, settings.smoothing, settings.stop)
        suggested.append(rules.suggest(rates, smoothed))
        steps = np.arange(1, len(rates) + 1)
        columns = {"seed": seed, "step": steps, "learning_rate": rates, "loss": loss, "smoothed": smoothed}
        parts.append(pd.DataFrame(columns))
    tables.write(root / "range_test/range_test.csv", pd.concat(parts))
    suggestions = {rule: rate._asdict() for rule, rate in rules.summarise(suggested).items()}
    files.write_json(root / "range_test/suggestions.json", suggestions)


def names(spare: int = 0) -> tuple[str, ...]:
    """List the measures of a made-up run."""
    diagnostics = ("gradient_norm", "update_ratio_hidden", "update_ratio_output", "dead_units_hidden")
    return (*runs.CURVES, *diagnostics, *(f"spare_{number}" for number in range(spare)))


def history(rate: float, noise: np.random.Generator, epochs: int, spare: int = 0) -> list[list[float]]:
    """Make a row per epoch, shaped like real ones: smooth at low rates, restless and high at high ones."""
    time = np.arange(1, epochs + 1)
    unrest = min(0.3, 0.02 + 3 * rate) if rate > 0.005 else 0.004
    loss = 1.4 * np.exp(-1.05 * np.sqrt(time * min(rate, 0.003) / 0.001)) + 0.12 * (rate / 0.1) ** 1.5 + 2e-4
    loss *= np.exp(noise.normal(0, unrest, epochs))
    held_out = (0.055 + 0.9 * loss) * np.exp(noise.normal(0, 0.01 + unrest / 3, epochs))
    images = _IMAGES["validation"]
    right = np.round(np.exp(-0.3 * held_out) * images) / images
    small = [np.abs(noise.normal(0.01, 0.002, epochs)) for _ in names(spare)[5:]]
    columns = [loss, np.exp(-0.6 * loss), held_out, right, 0.1 + loss, *small]
    return np.stack(columns, axis=1).tolist()


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Fit how seconds grow with the size: 1 is in proportion."""
    if len(sizes) < 2:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Show rows with the same keys in columns."""
    return pd.DataFrame(rows).fillna("").to_string(index=False)
