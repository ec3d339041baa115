"""The training and the test part of a data set: images and labels, read together and checked together."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.datasets import CLASSES, SIDE, Part
from pipeline.core.errors import DataError
from pipeline.download import idx


def read(raw: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one part from the folder of the four files.

    Returns:
        Images (n, 28, 28), 0 is paper and 255 is ink; labels (n,), 0 to 9. Both read-only.

    Raises:
        DataError: a file is missing or damaged, or holds other data than `part`.
    """
    # One more than expected, so that a file of another length is told by its header, not by its size.
    images = idx.read(raw / part.images.name, (None, SIDE, SIDE), part.size + 1)
    labels = idx.read(raw / part.labels.name, (None,), part.size + 1)
    try:
        check(images, labels, part)
    except DataError as error:
        raise DataError(
            f"{raw}: {error} Remove the folder and run `dvc repro` to fetch the files again."
        ) from None
    return images, labels


def check(images: NDArray[np.uint8], labels: NDArray[np.uint8], part: Part) -> None:
    """From the general to the particular, so that the message names what is wrong and not only that it is.

    Raises:
        DataError: images and labels do not belong together, a label is none, a class is missing, or the
            values are not those of the data set.
    """
    if len(images) != len(labels):
        raise DataError(
            f"expected as many labels as images, got {len(images):,} images in {part.images.name} "
            f"and {len(labels):,} labels in {part.labels.name}."
        )
    if labels.size and (highest := int(labels.max())) >= CLASSES:
        raise DataError(
            f"expected labels 0 to {CLASSES - 1} in {part.labels.name}, got {highest} "
            f"at position {int(labels.argmax()):,}."
        )
    counts = np.bincount(labels, minlength=CLASSES)
    if not counts.all():
        missing = ", ".join(str(label) for label in np.flatnonzero(counts == 0))
        raise DataError(f"expected every class in {part.labels.name}, got no image of class {missing}.")
    if len(images) != part.size:
        raise DataError(f"expected {part.size:,} images in {part.images.name}, got {len(images):,}.")
    for file, values in ((part.labels, labels), (part.images, images)):
        if (got := idx.digest(values)) != file.content_sha256:
            raise DataError(
                f"expected {file.name} to unpack to the SHA-256 {file.content_sha256}, got {got}: "
                "well formed, but other values."
            )
