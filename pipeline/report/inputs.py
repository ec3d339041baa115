"""What stage `report` reads: runs that params.yaml configures, labels, the range test, and their origin."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core import arrays, files, run_keys, tables
from pipeline.core import runs as run_folders
from pipeline.core import task as tasks
from pipeline.core.errors import RunError
from pipeline.core.runs import Run
from pipeline.core.task import Task
from pipeline.params import Params
from pipeline.range_test.rules import Suggestion


class RangeTest(NamedTuple):
    """Stage `range_test`'s outputs: rates (steps,), smoothed losses (seeds, steps), suggestions by rule."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestions: dict[str, Suggestion]


def read_labels(scaled: Path, part: str, task: Task) -> NDArray[np.intp]:
    """Read the class of each example of a part.

    Raises:
        DataError: the labels are missing or damaged.
    """
    one_hot = arrays.read(scaled / f"{part}_labels.npy", np.float32, (task.sizes[part], len(task.classes)))
    return np.asarray(one_hot.argmax(axis=1))


def read_runs(folder: Path, params: Params, test_examples: int) -> list[Run]:
    """Read exactly the runs that params.yaml configures, by rate and seed.

    Raises:
        RunError: a run is missing, damaged or was made with other parameters, data or code.
    """
    study = run_keys.inputs(params.values())
    grid = itertools.product(sorted(params.train.learning_rates), sorted(params.train.seeds))
    runs = [run_folders.read(folder, rate, seed) for rate, seed in grid]
    for run in runs:
        name = f"The run with learning rate {run.learning_rate} and seed {run.seed}"
        if run.metrics.get("run_key") != run_keys.key_of(study, run.learning_rate, run.seed):
            raise RunError(
                f"{name}: expected what the present parameters, data and code give, got what others gave. "
                "`dvc repro` trains it again; if DVC takes it for up to date, "
                f"`dvc repro -f -s train@{run.learning_rate}-{run.seed}` does."
            )
        if len(run.predictions) != test_examples:
            raise RunError(
                f"{name}: expected a prediction for each of {test_examples} test examples, got "
                f"{len(run.predictions)}. Run `dvc repro` to train it again."
            )
    return runs


def read_range_test(folder: Path) -> RangeTest:
    """Read what stage `range_test` wrote.

    Raises:
        DataError: its files are missing or damaged.
    """
    table = tables.read(folder / "range_test.csv", ("seed", "step", "learning_rate", "smoothed"))
    wide = table.pivot(index="seed", columns="learning_rate", values="smoothed")
    suggestions = {
        rule: Suggestion(**numbers) for rule, numbers in files.read_json(folder / "suggestions.json").items()
    }
    return RangeTest(wide.columns.to_numpy(np.float64), wide.to_numpy(np.float64), suggestions)


def read_origin(scaled: Path, params: Params) -> dict[str, list[tuple[str, str]]]:
    """List the parameters, the data's hashes and the pinned versions that determine the report."""
    values = params.values()
    del values["data"]["mirrors"]  # where bytes come from does not change them
    parts = itertools.product(("train", "validation", "test"), ("inputs", "labels"))
    names = [tasks.FILE, *(f"{part}_{kind}.npy" for part, kind in parts)]
    pins = [pin.partition("==") for pin in run_keys.pinned_packages()]
    return {
        "parameters": list(_flat(values)),
        "data": [(name, files.sha256(scaled / name)) for name in names],
        "versions": [(name, version) for name, _, version in pins],
    }


def _flat(values: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(_plain, value if isinstance(value, list) else [value]))


def _plain(value: object) -> str:
    """Write a float without an exponent, as params.yaml has it."""
    return np.format_float_positional(value, trim="0") if isinstance(value, float) else str(value)
