"""The reader of the examples gives back what stage `scale` was given, or says what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.core.task import AS_THEY_ARE, GREY_LEVELS, Scaling, Task
from pipeline.train import examples

SIZE, SHAPE = 300, (16, 16, 3)
LEVELS = np.arange(SIZE * 768).reshape(SIZE, *SHAPE).astype(np.uint8)
LABELS = np.eye(10, dtype=np.float32)[np.arange(SIZE) % 10]


def task(scaling: Scaling, shape: tuple[int, ...] = SHAPE) -> Task:
    sizes = {"train": 1, "validation": 0, "test": SIZE}
    return Task("own", shape, tuple("0123456789"), scaling, sizes)


@pytest.mark.parametrize("chunk", [1, 100 * 768, 1 << 20], ids=["an example", "a part", "all"])
def test_grey_levels_come_back_from_scaled_values_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(examples, "_CHUNK", chunk)
    arrays.write(tmp_path / "test_inputs.npy", LEVELS / np.float32(255))
    arrays.write(tmp_path / "test_labels.npy", LABELS)
    read = examples.read(tmp_path, "test", task(GREY_LEVELS))
    assert read.inputs.dtype == np.uint8
    assert np.array_equal(read.inputs, LEVELS)
    assert np.array_equal(read.labels, LABELS)


def test_floats_come_back_as_they_are_and_in_memory(tmp_path: Path) -> None:
    floats = np.random.default_rng(0).normal(size=(SIZE, 7)).astype(np.float32)
    arrays.write(tmp_path / "test_inputs.npy", floats)
    arrays.write(tmp_path / "test_labels.npy", LABELS)
    read = examples.read(tmp_path, "test", task(AS_THEY_ARE, (7,)))
    assert np.array_equal(read.inputs, floats)
    assert not isinstance(read.inputs, np.memmap)


def test_arrays_of_another_size_than_the_task_s_are_refused(tmp_path: Path) -> None:
    arrays.write(tmp_path / "test_labels.npy", LABELS)
    arrays.write(tmp_path / "test_inputs.npy", LEVELS[..., :1] / np.float32(255))
    with pytest.raises(DataError, match=r"test_inputs\.npy: expected float32 \(300, 16, 16, 3\), got "):
        examples.read(tmp_path, "test", task(GREY_LEVELS))
    arrays.write(tmp_path / "test_labels.npy", LABELS[:, :9])
    with pytest.raises(DataError, match=r"test_labels\.npy: .* \(300, 10\), got float32 \(300, 9\)"):
        examples.read(tmp_path, "test", task(GREY_LEVELS))
