"""The embedded sample: scikit-learn's digits in the form of the MNIST files, for demos and tests.

1,797 handwritten digits of 8 x 8 pixels with 17 grey levels, the test part of "Optical Recognition of
Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998). They ship inside
scikit-learn: nothing is fetched.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.datasets import DIGITS, SIDE
from pipeline.download import raw_files

SMALL, LEVELS, ZOOM = 8, 16, 3


def enlarge(images: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Enlarge digits to MNIST's size and grey levels, exactly, in whole numbers.

    Each pixel becomes a square of 3 x 3, and a border of 2 pixels of paper surrounds the 24 x 24: much like
    MNIST's own 20 x 20 digits in a frame of 28 x 28. Level 16 becomes 255, others in proportion, halves up.

    Args:
        images: shape (n, 8, 8), whole numbers; 0 is paper, 16 is ink.

    Returns:
        Shape (n, 28, 28).
    """
    levels = ((images.astype(np.int64) * 255 * 2 + LEVELS) // (2 * LEVELS)).astype(np.uint8)
    border = (SIDE - ZOOM * SMALL) // 2
    large = levels.repeat(ZOOM, axis=1).repeat(ZOOM, axis=2)
    return np.pad(large, ((0, 0), (border, border), (border, border)))


def write(raw: Path) -> None:
    """Write the four files: the first 1,500 digits to train on, the last 297 to test.

    In the order of the source, not mixed: its writers follow one another, and a mixed split would test on
    the handwriting that was trained on.

    Raises:
        DataError: scikit-learn ships other digits than these: install the versions of requirements.lock.
    """
    from sklearn.datasets import load_digits  # takes seconds, which a study of MNIST need not wait

    values, labels = load_digits(return_X_y=True)
    images = enlarge(values.astype(np.int64).reshape(-1, SMALL, SMALL))
    labels = labels.astype(np.uint8)
    size = DIGITS.train.size
    raw_files.write(raw, DIGITS.train, images[:size], labels[:size])
    raw_files.write(raw, DIGITS.test, images[size:], labels[size:])
