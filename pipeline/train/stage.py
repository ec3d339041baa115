"""Stage `train`: one network, trained at one learning rate from one seed."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline import params
from pipeline.core import machine, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import ParamsError
from pipeline.params import Params
from pipeline.tracking import watch
from pipeline.train import signals
from pipeline.train.checkpoints import Checkpoint
from pipeline.train.images import PARTS, read_images
from pipeline.train.progress import Progress


def train(scaled: Path, runs: Path, learning_rate: float, seed: int) -> None:
    """Train, and write the run's folder under `runs`.

    Raises:
        ParamsError: the rate or the seed is none of params.yaml's.
        DataError: the scaled images are missing or damaged.
        Interrupted: a signal came; the next call goes on from the checkpoint.
    """
    study = params.load()
    _check(study, learning_rate, seed)
    run_key = run_keys.run_key(study.values(), learning_rate, seed)
    folder = run_folders.folder(runs, learning_rate, seed)
    # Tracking starts first: its process imports MLflow while this one imports TensorFlow.
    with watch.watching(learning_rate, seed, run_key) as watcher, signals.deferred() as asked:
        from pipeline.train import backend, loop, runner

        backend.configure(study.train.threads)
        if study.train.precision == "bfloat16" and not backend.has_bfloat16():
            print(
                "note: this processor has no bfloat16 arithmetic: expect no speed from it.", file=sys.stderr
            )
        images = {part: read_images(scaled, part) for part in PARTS}
        held_out = run_folders.held_out_part(study.data.validation_size)
        trainer = loop.Trainer(
            images.pop("train"),
            images[held_out],
            study.train.batch_size,
            study.train.hidden_units,
            study.train.precision,
        )
        task = runner.Task(study.data.dataset, learning_rate, seed, study.train.epochs, run_key, held_out)
        checkpoint = Checkpoint(run_key, f"{machine.processor()} {backend.describe_device()}")
        with Progress(f"learning rate {learning_rate}, seed {seed}", study.train.epochs) as progress:

            def on_epoch(epoch: int, measures: Mapping[str, float]) -> None:
                watcher.epoch({"epoch": epoch, **measures})
                progress.update(epoch, measures)

            outcome = runner.run(trainer, images["test"], task, checkpoint, asked, on_epoch)
        runner.write(folder, outcome)
        checkpoint.remove()
        watcher.finish(folder)


def _check(study: Params, learning_rate: float, seed: int) -> None:
    for name, value, known in (
        ("learning rate", learning_rate, study.train.learning_rates),
        ("seed", seed, study.train.seeds),
    ):
        if value not in known:
            raise ParamsError(f"{name} {value}: expected one of params.yaml's, {', '.join(map(str, known))}.")
