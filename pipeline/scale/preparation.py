"""From images and labels to what a network takes. Pure: arrays in, arrays out; knows no file."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.datasets import CLASSES
from pipeline.core.errors import DataError


def scale_images(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map grey levels to the unit interval, one row per image.

    Args:
        images: shape (n, 28, 28); 0 is paper, 255 is ink.

    Returns:
        Shape (n, 784), row after row of the image, values in [0, 1].

    Raises:
        DataError: not uint8, or not 28 x 28; floats are refused, since scaling twice would hide.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise DataError(
            f"expected uint8 images (n, 28, 28), got {images.dtype} {images.shape}. Scale raw images, once."
        )
    scaled: NDArray[np.float32] = np.divide(images.reshape(-1, 28 * 28), np.float32(255), dtype=np.float32)
    return scaled


def one_hot(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Encode each label as a row, 1 in the column of its class and 0 elsewhere.

    Args:
        labels: shape (n,), values from 0 to 9.

    Returns:
        Shape (n, 10).

    Raises:
        DataError: another shape, not whole numbers, or a label outside the classes.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"expected whole-numbered labels (n,), got {labels.dtype} {labels.shape}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < CLASSES):
        raise DataError(f"expected labels 0 to {CLASSES - 1}, got {labels.min()} to {labels.max()}.")
    rows: NDArray[np.float32] = np.eye(CLASSES, dtype=np.float32)[labels]
    return rows


def split(
    images: NDArray[np.uint8], labels: NDArray[np.integer], validation_size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the images to hold out: every class in proportion, within a class by the image's SHA-256.

    A hash is as good as a draw, and there is no generator whose seed or version could change it: the choice
    depends on the images alone, not even on their order, and copies of an image mostly stay on one side.

    Args:
        images: shape (n, ...).
        labels: shape (n,), from 0.
        validation_size: exactly how many; 0 holds out none.

    Returns:
        Positions of the images to train on and of those held out, both ascending.

    Raises:
        DataError: a class would be missing on either side.
    """
    counts = np.bincount(labels)
    shares = class_shares(counts.tolist(), validation_size)
    short = [
        str(label)
        for label, (count, share) in enumerate(zip(counts, shares, strict=True))
        if count and not 0 < share < count
    ]
    if short and validation_size:
        raise DataError(
            f"expected images of every class on both sides of the split, got none of class "
            f"{', '.join(short)} on one side with {validation_size:,} of {len(labels):,} images held out. "
            "Change data.validation_size in params.yaml."
        )
    held_out = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(labels == label)
        order = sorted(members, key=lambda position: hashlib.sha256(images[position].tobytes()).digest())
        held_out[order[:share]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def class_shares(counts: Sequence[int], size: int) -> list[int]:
    """Divide `size` among classes in proportion to `counts`, by largest remainders (Hamilton's method).

    Returns:
        Each within 1 of its exact proportion, together exactly `size`; of equal remainders, those of the
        lower classes are rounded up.

    Raises:
        DataError: `size` is negative or more than there is.
    """
    total = sum(counts)
    if not 0 <= size <= total:
        raise DataError(f"expected 0 to {total:,} images to hold out, got {size:,}.")
    shares = [count * size // total if total else 0 for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda label: -(counts[label] * size % max(total, 1)))
    for label in by_remainder[: size - sum(shares)]:
        shares[label] += 1
    return shares
