"""Stage `scale`: raw IDX files in, float32 arrays with a fixed split out."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import params
from pipeline.core import arrays, files
from pipeline.core.datasets import DATASETS
from pipeline.download import raw_files
from pipeline.scale import preparation


def scale(raw: Path, scaled: Path) -> None:
    """Write `<part>_images.npy` (n, 784) and `<part>_labels.npy` (n, 10) for train, validation and test.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        DataError: a raw file is missing, damaged, or of another data set.
    """
    data = params.load().data
    dataset = DATASETS[data.dataset]
    images, labels = raw_files.read(raw, dataset.train)
    training, validation = preparation.split(images, labels, data.validation_size)
    test_images, test_labels = raw_files.read(raw, dataset.test)
    with files.replacing_folder(scaled) as folder:
        _write(folder, "train", images[training], labels[training])
        _write(folder, "validation", images[validation], labels[validation])
        _write(folder, "test", test_images, test_labels)
    print(
        f"scale: {dataset.name}: {len(training):,} training, {len(validation):,} validation "
        f"and {len(test_labels):,} test images, written to {scaled}"
    )


def _write(folder: Path, part: str, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    arrays.write(folder / f"{part}_images.npy", preparation.scale_images(images))
    arrays.write(folder / f"{part}_labels.npy", preparation.one_hot(labels))
