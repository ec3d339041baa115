"""Stage `range_test`: raise the rate while training, and read from the loss where a good one might lie.

A process of its own, which the train stages know nothing of: the study's runs stay as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.core import arrays, files, tables
from pipeline.range_test import rules

COLUMNS = ("seed", "step", "learning_rate", "loss", "smoothed")


def range_test(scaled: Path, range_test: Path) -> None:
    """Write range_test.csv (a row a step and seed) and suggestions.json into the folder `range_test`.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DataError: the scaled images are missing or damaged.
    """
    study = params.load()
    from pipeline.range_test import training
    from pipeline.train import backend

    backend.configure(study.train.threads)
    settings = study.range_test
    rates = rules.schedule(settings.lowest, settings.highest, settings.steps)
    seeds = tuple(sorted(study.train.seeds))
    losses = training.losses(
        arrays.read(scaled / "train_images.npy", np.float32, (None, 784), mapped=True),
        arrays.read(scaled / "train_labels.npy", np.float32, (None, 10)),
        seeds,
        rates,
        batch_size=study.train.batch_size,
        hidden_units=study.train.hidden_units,
        precision=study.train.precision,
    )
    curves = [rules.smooth(row, settings.smoothing, settings.stop) for row in losses]
    found = rules.summarise([rules.suggest(rates, curve) for curve in curves])
    table = pd.concat(
        [
            pd.DataFrame(dict(zip(COLUMNS, (seed, range(1, len(rates) + 1), rates, row, curve), strict=True)))
            for seed, row, curve in zip(seeds, losses, curves, strict=True)
        ]
    )
    with files.replacing_folder(range_test) as folder:
        tables.write(folder / "range_test.csv", table)
        files.write_json(
            folder / "suggestions.json", {rule: suggestion._asdict() for rule, suggestion in found.items()}
        )
