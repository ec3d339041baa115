"""From images and labels to what a network takes. Pure: arrays in, arrays out; knows no file."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError
from pipeline.core.task import AS_THEY_ARE, GREY_LEVELS, Scaling


def fit_scaling(inputs: NDArray[Any], *, standardise: bool) -> Scaling:
    """Decide how inputs are scaled, from the training part alone.

    Args:
        inputs: shape (n, ...), uint8 or float32.
        standardise: give floats mean 0 and deviation 1 along the last axis; a constant is only shifted.
    """
    if inputs.dtype == np.uint8:
        return GREY_LEVELS
    if not standardise:
        return AS_THEY_ARE
    others = tuple(range(inputs.ndim - 1))
    mean = inputs.mean(axis=others, dtype=np.float64)
    deviation = inputs.std(axis=others, dtype=np.float64).astype(np.float32)
    # What never varies may still have a deviation above 0: that of its mean's rounding.
    deviation[(inputs.min(axis=others) == inputs.max(axis=others)) | (deviation == 0)] = 1
    mean, deviation = (tuple(map(float, row.astype(np.float32))) for row in (mean, deviation))
    return Scaling(mean, deviation, levels=False)


def scale_inputs(inputs: NDArray[Any], scaling: Scaling) -> NDArray[np.float32]:
    """Subtract the mean, divide by the deviation, in float32.

    Args:
        inputs: shape (n, ...), as raw as those that `scaling` was fitted to.

    Raises:
        DataError: another type; scaling twice would hide.
    """
    expected = np.uint8 if scaling.levels else np.float32
    if inputs.dtype != expected:
        raise DataError(f"expected {np.dtype(expected)}, got {inputs.dtype}. Scale raw inputs, once.")
    mean, deviation = (np.asarray(row, np.float32) for row in (scaling.mean, scaling.deviation))
    scaled: NDArray[np.float32] = inputs.astype(np.float32)
    scaled -= mean
    scaled /= deviation
    return scaled


def one_hot(labels: NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """Encode each label as a row, 1 in the column of its class and 0 elsewhere.

    Args:
        labels: shape (n,), values from 0 to `classes` - 1.

    Returns:
        Shape (n, classes).

    Raises:
        DataError: another shape, not whole numbers, or a label outside the classes.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"expected whole-numbered labels (n,), got {labels.dtype} {labels.shape}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise DataError(f"expected labels 0 to {classes - 1}, got {labels.min()} to {labels.max()}.")
    rows: NDArray[np.float32] = np.eye(classes, dtype=np.float32)[labels]
    return rows


def split(
    inputs: NDArray[Any], labels: NDArray[np.integer], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the examples to hold out: every class in proportion, within a class by the input's SHA-256.

    A hash is as good as a draw, and there is no generator whose seed or version could change it: the choice
    depends on the inputs alone, not even on their order, and copies of one mostly stay on one side.

    Args:
        inputs: shape (n, ...).
        labels: shape (n,), from 0.
        size: exactly how many to hold out; 0 holds out none.

    Returns:
        Positions of the examples to train on and of those held out, both ascending.

    Raises:
        DataError: a class would be missing on either side.
    """
    counts = np.bincount(labels)
    shares = class_shares(counts.tolist(), size)
    short = [
        str(label)
        for label, (count, share) in enumerate(zip(counts, shares, strict=True))
        if count and not 0 < share < count
    ]
    if short and size:
        raise DataError(
            f"expected examples of every class on both sides of the split, got none of class "
            f"{', '.join(short)} on one side with {size:,} of {len(labels):,} examples held out."
        )
    held_out = np.zeros(len(labels), dtype=bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero(labels == label)
        order = sorted(members, key=lambda position: hashlib.sha256(inputs[position].tobytes()).digest())
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
        raise DataError(f"expected 0 to {total:,} examples to hold out, got {size:,}.")
    shares = [count * size // total if total else 0 for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda label: -(counts[label] * size % max(total, 1)))
    for label in by_remainder[: size - sum(shares)]:
        shares[label] += 1
    return shares
