"""Stage `range_test`: raise the rate while training, and read from the loss where a good one might lie.

A process of its own, which the train stages know nothing of: the study's runs stay as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.core import files, network_files, tables
from pipeline.core import task as tasks
from pipeline.range_test import rules
from pipeline.train import backend, examples
from pipeline.train.examples import Examples


def range_test(scaled: Path, range_test: Path) -> None:
    """Write range_test.csv (a row a step and seed) and suggestions.json into the folder `range_test`.

    Raises:
        ParamsError: params.yaml cannot be worked with, or there are fewer examples than a batch takes.
        DataError: the scaled arrays are missing or damaged.
        ChangedError: code or parameters were edited meanwhile.
    """
    check, study = params.watch(), params.load()
    backend.configure(study.train.threads)
    from pipeline.range_test import training
    from pipeline.train.loop import Trainer
    from pipeline.train.networks import Builder

    task = tasks.read(scaled)
    study.train.check_batch_size(task.sizes["train"])
    train = examples.read(scaled, "train", task)
    builder = Builder(
        network_files.read(study.network.file), task, study.network.values, study.train.precision
    )
    settings, seeds = study.range_test, sorted(study.train.seeds)
    rates = tables.rounded(np.geomspace(settings.lowest, settings.highest, settings.steps))
    unused = Examples(train.inputs[:1], train.labels[:1])  # for validation, at which no step looks
    trainer = Trainer(builder, lambda: train, unused, study)
    losses = training.losses(trainer, rates, seeds, task.sizes["train"], study.train.batch_size)
    curves = [rules.smooth(row, settings.smoothing, settings.stop) for row in losses]
    suggestions = rules.summarise([rules.suggest(rates, curve) for curve in curves])
    table = pd.DataFrame(
        {
            "seed": np.repeat(seeds, len(rates)),
            "step": np.tile(np.arange(1, len(rates) + 1), len(seeds)),
            "learning_rate": np.tile(rates, len(seeds)),
            "loss": losses.ravel(),
            "smoothed": np.ravel(curves),
        }
    )
    with files.replacing_folder(range_test) as folder:
        tables.write(folder / "range_test.csv", table)
        files.write_json(
            folder / "suggestions.json",
            {
                rule: dict(zip(suggestion._fields, tables.rounded(suggestion), strict=True))
                for rule, suggestion in suggestions.items()
            },
        )
        check()
