"""Stage `train`: one network, trained at one learning rate from one seed."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline import params
from pipeline.core import network_files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core import task as tasks
from pipeline.core.errors import ParamsError
from pipeline.tracking import watch
from pipeline.train import examples, signals
from pipeline.train.progress import Progress


def train(scaled: Path, runs: Path, learning_rate: float, seed: int) -> None:
    """Train, and write the run's folder under `runs`.

    Raises:
        ParamsError: the rate or the seed is not one of params.yaml's.
        DataError: the scaled arrays are missing or damaged.
        Interrupted: a signal came; the next call goes on from the checkpoint.
    """
    study = params.load()
    settings = study.train
    _check("learning rate", learning_rate, settings.learning_rates)
    _check("seed", seed, settings.seeds)
    run_key = run_keys.run_key(study.values(), learning_rate, seed)
    folder = run_folders.folder(runs, learning_rate, seed)
    # Tracking starts first: its process imports MLflow while this one imports TensorFlow.
    with watch.watching(learning_rate, seed, run_key) as watcher, signals.deferred() as interruption:
        from pipeline.train import backend

        backend.configure(settings.threads)
        from pipeline.train.runner import Runner

        if settings.precision == "bfloat16" and not backend.has_bfloat16():
            print(
                "note: this processor has no bfloat16 arithmetic: expect no speed from it.", file=sys.stderr
            )
        task = tasks.read(scaled)
        parts = {part: examples.read(scaled, part, task) for part in examples.PARTS}
        runner = Runner(study, network_files.read(study.network.file), task, parts)
        name = f"learning rate {learning_rate}, seed {seed}"
        with contextlib.closing(Progress(name, settings.epochs)) as progress:

            def on_epoch(epoch: int, measures: Mapping[str, float]) -> None:
                watcher.epoch({"epoch": epoch, **measures})
                progress.update(epoch, measures)

            runner.run(learning_rate, seed, run_key, folder, interruption, on_epoch)
        watcher.finish(folder)


def _check(name: str, value: float, known: tuple[float, ...]) -> None:
    if value not in known:
        raise ParamsError(f"{name} {value}: expected one of params.yaml's, {', '.join(map(str, known))}.")
