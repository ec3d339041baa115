"""Stage `scale`: raw examples in, float32 arrays with a fixed split out."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import params
from pipeline.core import arrays, files, task
from pipeline.core.datasets import DATASETS
from pipeline.core.errors import DataError
from pipeline.download import own, raw_files
from pipeline.download.own import OwnData, RawExamples
from pipeline.scale import preparation

TEST_SHARE = 5
"""Own data without a test part give one in so many of their examples to it."""


def scale(raw: Path, scaled: Path) -> None:
    """Write `<part>_inputs.npy`, `<part>_labels.npy` for train, validation and test, and task.json.

    Inputs have shape (n, height, width, channels) or (n, features), labels (n, classes), one-hot.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DataError: a raw file is missing, damaged, or of another data set; a class is missing on one side.
        ChangedError: code or parameters were edited meanwhile.
    """
    check, data = params.watch(), params.load().data
    source = _read(raw, data.dataset)
    training = source.train
    if source.test is None:
        advice = "A fifth becomes the test part, as there is none: add one, or examples of that class."
        training, test = _divide(training, len(training.labels) // TEST_SHARE, advice)
    else:
        test = source.test
    advice = "Change data.validation_size in params.yaml."
    training, validation = _divide(training, data.validation_size, advice)
    scaling = preparation.fit_scaling(training.inputs, standardise=data.standardise)
    parts = {"train": training, "validation": validation, "test": test}
    sizes = {part: len(examples.labels) for part, examples in parts.items()}
    studied = task.Task(data.dataset, training.inputs.shape[1:], source.classes, scaling, sizes)
    with files.replacing_folder(scaled) as folder:
        for part, examples in parts.items():
            arrays.write(folder / f"{part}_inputs.npy", preparation.scale_inputs(examples.inputs, scaling))
            labels = preparation.one_hot(examples.labels, len(source.classes))
            arrays.write(folder / f"{part}_labels.npy", labels)
        task.write(folder, studied)
        check()
    counts = ", ".join(f"{size:,} {part}" for part, size in sizes.items())
    shape = " x ".join(map(str, studied.shape))
    print(
        f"scale: {data.dataset}: {counts} {studied.example}s of {shape} in {len(source.classes)} classes, "
        f"written to {scaled}"
    )


def _read(raw: Path, name: str) -> OwnData:
    if name not in DATASETS:
        return own.load(raw)
    dataset = DATASETS[name]
    train, test = (_with_channel(*raw_files.read(raw, part)) for part in (dataset.train, dataset.test))
    return OwnData(train, test, dataset.classes)


def _with_channel(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> RawExamples:
    return RawExamples(images[..., None], labels.astype(np.int64))


def _divide(examples: RawExamples, size: int, advice: str) -> tuple[RawExamples, RawExamples]:
    try:
        rest, held_out = preparation.split(*examples, size)
    except DataError as error:
        raise DataError(f"{error} {advice}") from None
    return RawExamples(*_take(examples, rest)), RawExamples(*_take(examples, held_out))


def _take(examples: RawExamples, positions: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    return examples.inputs[positions], examples.labels[positions]
