"""The reader of the images gives back what stage `scale` was given, or says what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.train.images import read_images

LEVELS = np.arange(256, dtype=np.uint8).repeat(784).reshape(256, 784)
LABELS = np.eye(10, dtype=np.float32)[np.arange(256) % 10]


def test_levels_come_back_from_scaled_pixels_to_the_bit_and_nothing_else_passes(tmp_path: Path) -> None:
    arrays.write(tmp_path / "test_images.npy", LEVELS / np.float32(255))
    arrays.write(tmp_path / "test_labels.npy", LABELS)
    images = read_images(tmp_path, "test")
    assert images.levels.dtype == np.uint8
    assert np.array_equal(images.levels, LEVELS)
    assert np.array_equal(images.labels, LABELS)
    for wrong in (0.5, -1 / 255, 2.0, np.nan):
        arrays.write(tmp_path / "test_images.npy", np.full((256, 784), wrong, np.float32))
        with pytest.raises(DataError, match=r"test_images\.npy: expected grey levels k / 255"):
            read_images(tmp_path, "test")
