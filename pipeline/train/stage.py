"""Stage `train`: one network, trained at one learning rate from one seed."""

import contextlib
import functools
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.core import files, network_files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import DataError, ParamsError
from pipeline.params import Params
from pipeline.tracking import data as tracked
from pipeline.tracking.live_log import LiveLog
from pipeline.train import examples, signals
from pipeline.train.progress import Progress


def train(scaled: Path, runs: Path, learning_rate: float, seed: int) -> None:
    """Train, and write the run's folder under `runs`.

    Raises:
        ParamsError: the rate or the seed is not one of params.yaml's.
        DataError: the scaled arrays are missing or damaged.
        ChangedError: code or parameters were edited meanwhile.
        Interrupted: a signal came; the next call goes on from the checkpoint.
    """
    check, study = params.watch(), params.load()
    settings = study.train
    _check("learning rate", learning_rate, settings.learning_rates)
    _check("seed", seed, settings.seeds)
    run_inputs = run_keys.inputs(study.values())
    run_key = run_keys.key_of(run_inputs, learning_rate, seed)
    folder = run_folders.folder(runs, learning_rate, seed)
    data = tracked.read(scaled, run_inputs["files"].get(scaled.as_posix(), ""))
    with LiveLog(study, data, learning_rate, seed, run_key) as log, signals.deferred() as interruption:
        from pipeline.train import backend

        backend.configure(settings.threads)
        from pipeline.train.runner import Runner

        if settings.precision == "bfloat16" and not backend.has_bfloat16():
            print(
                "note: this processor has no bfloat16 arithmetic: expect no speed from it.", file=sys.stderr
            )
        read = functools.partial(examples.read, scaled, task=data.task)
        runner = Runner(study, network_files.read(study.network.file), data.task, read)
        number, count, later = _position(study, run_inputs, runs, learning_rate, seed)
        name = f"run {number} of {count}, learning rate {learning_rate}, seed {seed}"
        with contextlib.closing(Progress(name, settings.epochs, later)) as progress:

            def on_epoch(epoch: int, measures: Mapping[str, float]) -> None:
                log.epoch(epoch, measures)
                progress.update(epoch, measures)

            runner.run(learning_rate, seed, run_key, folder, interruption, on_epoch, check, progress.start)
        log.finish(folder)


def _position(
    study: Params, run_inputs: Mapping[str, Any], runs: Path, learning_rate: float, seed: int
) -> tuple[int, int, int]:
    """Find which run of how many this is, and how many after it are not there as they should be."""
    grid = list(itertools.product(study.train.learning_rates, study.train.seeds))  # as DVC's matrix goes
    number = grid.index((learning_rate, seed)) + 1
    later = 0
    for run in grid[number:]:
        try:
            metrics = files.read_json(run_folders.folder(runs, *run) / run_folders.METRICS)
            later += metrics["run_key"] != run_keys.key_of(run_inputs, *run)
        except (DataError, KeyError, TypeError):
            later += 1
    return number, len(grid), later


def _check(name: str, value: float, known: tuple[float, ...]) -> None:
    if value not in known:
        raise ParamsError(f"{name} {value}: expected one of params.yaml's, {', '.join(map(str, known))}.")
