"""Stage `range_test`: raise the rate while training, and read from the loss where a good one might lie.

A process of its own, which the train stages know nothing of: the study's runs stay as they are.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import params
from pipeline.core import arrays, files, tables
from pipeline.range_test import rules


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
    rates = np.geomspace(settings.lowest, settings.highest, settings.steps)
    losses = training.losses(
        arrays.read(scaled / "train_images.npy", np.float32, (None, 784), mapped=True),
        arrays.read(scaled / "train_labels.npy", np.float32, (None, 10)),
        rates,
        study.train,
    )
    curves = [rules.smooth(row, settings.smoothing, settings.stop) for row in losses]
    suggestions = rules.summarise([rules.suggest(rates, curve) for curve in curves])
    seeds = sorted(study.train.seeds)
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
            {rule: suggestion._asdict() for rule, suggestion in suggestions.items()},
        )
