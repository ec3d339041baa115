"""`rehearse`: before an hour is spent, try in seconds what the study will do, and say what it will take."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from pipeline import params
from pipeline.core import network_files
from pipeline.core import runs as run_folders
from pipeline.core import task as tasks
from pipeline.core.errors import ParamsError, ToolError
from pipeline.core.task import Task
from pipeline.params import Params
from pipeline.tools import machine, repair
from pipeline.train import backend, examples
from pipeline.train.checkpoints import State
from pipeline.train.examples import Examples

if TYPE_CHECKING:
    from pipeline.train.loop import Trainer

_BATCHES, _EPOCHS = 10, 3
_SCALED = Path("data/scaled")


def rehearse() -> None:
    """Bring the data, train on a few batches twice and once with an interruption, print what to expect.

    Raises:
        ParamsError: params.yaml or the network cannot be worked with, there are fewer examples than a batch
            takes, or the lowest rate diverges.
        DataError: the data are not what they should be.
        ToolError: the data's stages fail, or the same training does not end with the same bytes.
    """
    study = params.load()
    file = network_files.read(study.network.file)
    if repair.dvc("repro", "scale") != 0:
        raise ToolError("`dvc repro scale` stopped: the reason stands above.")
    began = time.perf_counter()
    task = tasks.read(_SCALED)
    study.train.check_batch_size(task.sizes["train"])
    held_out = run_folders.held_out_part(study.data.validation_size)
    train, validation = (examples.read(_SCALED, part, task) for part in ("train", held_out))
    share = min(1.0, _BATCHES * study.train.batch_size / len(train.labels))
    backend.configure(study.train.threads)
    from pipeline.train.loop import Trainer
    from pipeline.train.networks import Builder

    builder = Builder(file, task, study.network.values, study.train.precision)
    short = study.model_copy(update={"train": study.train.model_copy(update={"epochs": _EPOCHS})})
    few = _first(train, share), _first(validation, share)
    trainer, fresh = (Trainer(builder, lambda: few[0], few[1], short) for _ in range(2))
    seconds = _try(trainer, fresh, min(study.train.learning_rates), study.train.seeds[0])
    startup = time.perf_counter() - began - 3 * _EPOCHS * seconds
    _print_expectations(study, task, trainer, seconds / share, startup)


def _first(part: Examples, share: float) -> Examples:
    count = max(1, round(share * len(part.labels)))
    return Examples(part.inputs[:count], part.labels[:count])


def _try(trainer: "Trainer", fresh: "Trainer", rate: float, seed: int) -> float:
    """Train twice, then for an epoch, and on from there with another trainer; return an epoch's seconds.

    Raises:
        ParamsError: the loss is not finite.
        ToolError: the three do not end with the same bytes.
    """
    first, seconds = _train(trainer, rate, seed, None)
    second, seconds = _train(trainer, rate, seed, None)  # the first one's time holds the graph's tracing
    state = next(State(list(rows), trainer.variables(), []) for rows in trainer.train(rate, seed))
    third, _ = _train(fresh, rate, seed, state)
    for end, how in ((second, "a second time"), (third, "with an interruption")):
        for name, expected, got in zip(trainer.names, first, end, strict=True):
            if expected.tobytes() != got.tobytes():
                raise ToolError(
                    f"{name}: expected the same bytes from the same training, got others {how}. The network "
                    "draws or keeps what its variables do not hold: build it of Keras' layers, and keep no "
                    "numbers in Python."
                )
    return seconds


def _train(
    trainer: "Trainer", rate: float, seed: int, state: State | None
) -> tuple[list[NDArray[Any]], float]:
    """Train to the end; return all variables, and the seconds that the last epoch took."""
    times = [time.perf_counter()]
    for rows in trainer.train(rate, seed, state):
        times.append(time.perf_counter())
        if not np.isfinite([rows[-1]["loss"], rows[-1]["val_loss"]]).all():
            raise ParamsError(
                f"learning rate {rate}, seed {seed}: expected a finite loss at the study's lowest rate, got "
                f"{rows[-1]['loss']} in training and {rows[-1]['val_loss']} in validation within "
                f"{len(rows) * _BATCHES} batches. Study lower rates, or look for a fault in network or data."
            )
    return trainer.variables(), times[-1] - times[-2]


def _print_expectations(study: Params, task: Task, trainer: "Trainer", epoch: float, startup: float) -> None:
    runs, settings = len(study.train.learning_rates) * len(study.train.seeds), study.train
    minutes = runs * (startup + settings.epochs * epoch) / 60
    at_once = max(1, machine.usable_cores() // settings.threads)
    sweep = f", {minutes / at_once:.1f} min with `make sweep`" if at_once > 1 else ""
    arrays = 4 * (int(np.prod(task.shape)) + len(task.classes)) * sum(task.sizes.values())
    weights = sum(variable.nbytes for variable in trainer.network())
    disk = 2 * (arrays + runs * weights)  # in the folder and in DVC's cache
    memory = psutil.Process().memory_info().rss
    print(
        f"rehearse: {task.sizes['train']:,} training {task.example}s of {' x '.join(map(str, task.shape))}, "
        f"{len(task.classes)} classes; {study.network.file} has {trainer.model.count_params():,} parameters\n"
        "rehearse: it trains to the same bytes a second time, and after an interruption\n"
        f"rehearse: about {epoch:.2g} s an epoch, {memory / 1e9:.1f} GB of memory\n"
        f"rehearse: {runs} runs of {settings.epochs} epochs take about {minutes:.1f} min with `dvc repro`"
        f"{sweep}, and {disk / 1e6:,.0f} MB of disk"
    )
