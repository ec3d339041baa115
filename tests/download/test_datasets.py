"""Parts of a data set, their IDX files and the digits sample: what is read, and what damaged files get."""

import contextlib
import gzip
import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core import files
from pipeline.core.datasets import DATASETS, DIGITS, MNIST, TEST_IMAGES, TEST_LABELS, Dataset, File, Part
from pipeline.core.errors import DataError
from pipeline.download import digits, raw_files
from tests.download.conftest import MNIST_FOLDER, needs_mnist

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = (np.arange(40) % 10).astype(np.uint8)
PART = Part(
    File(TEST_IMAGES, hashlib.sha256(raw_files.encode(IMAGES)).hexdigest()),
    File(TEST_LABELS, hashlib.sha256(raw_files.encode(LABELS)).hexdigest()),
    (4,) * 10,
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with the files of `PART`."""
    raw_files.write(tmp_path / "raw", PART, IMAGES, LABELS)
    return tmp_path / "raw"


def refused(raw: Path) -> str:
    with pytest.raises(DataError) as caught:
        raw_files.read(raw, PART)
    return str(caught.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_gzip_file_is_the_same_data_or_a_data_error(raw: Path, data: st.DataObject) -> None:
    compressed = bytearray(gzip.compress(raw_files.encode(LABELS), mtime=0))
    match data.draw(st.sampled_from(["flip", "cut", "append", "random"])):
        case "flip":
            position = data.draw(st.integers(0, len(compressed) - 1))
            compressed[position] ^= data.draw(st.integers(1, 255))
        case "cut":
            del compressed[data.draw(st.integers(0, len(compressed) - 1)) :]
        case "append":
            compressed += data.draw(st.binary(min_size=1, max_size=50))
        case "random":
            compressed = bytearray(data.draw(st.binary(max_size=100)))
    (raw / TEST_LABELS).write_bytes(compressed)
    with contextlib.suppress(DataError):
        # A few bits of the gzip header mean nothing: time, operating system.
        assert np.array_equal(raw_files.read(raw, PART)[1], LABELS)


WHOLE = gzip.compress(raw_files.encode(LABELS), mtime=0)


@pytest.mark.parametrize(
    "compressed",
    [b"", b"PK\3\4 a zip file", WHOLE[:-1], WHOLE[:-8] + bytes(8), WHOLE[:30], WHOLE + b"y"],
    ids=["empty", "zip", "cut at its end", "another checksum", "cut", "followed by other bytes"],
)
def test_what_is_not_a_whole_gzip_file_is_refused(raw: Path, compressed: bytes) -> None:
    (raw / TEST_LABELS).write_bytes(compressed)

    message = refused(raw)

    assert message.startswith(f"{raw / TEST_LABELS}: expected ")
    assert message.endswith(" Remove the file and run `dvc repro` to fetch it again.")
    assert "expected a whole gzip file, got: " in message or not compressed


def test_a_gzip_bomb_takes_no_more_memory_than_the_file_it_claims_to_be(raw: Path) -> None:
    with gzip.open(raw / TEST_IMAGES, "wb", compresslevel=9) as stream:
        stream.write(raw_files.encode(IMAGES)[:16])
        for _ in range(64):
            stream.write(bytes(1 << 20))

    tracemalloc.start()
    message = refused(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert f"{TEST_IMAGES}: expected it to unpack to the SHA-256 " in message
    assert peak < 1 << 20


def test_a_file_that_is_far_too_long_is_not_read_to_its_end(raw: Path) -> None:
    (raw / TEST_LABELS).write_bytes(bytes(1 << 24))

    tracemalloc.start()
    message = refused(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "expected a whole gzip file" in message
    assert peak < 1 << 20


def test_written_files_hold_no_time_and_no_name(tmp_path: Path) -> None:
    for name in ("first", "second"):
        raw_files.write(tmp_path / name, PART, IMAGES, LABELS)

    content = (tmp_path / "first" / TEST_IMAGES).read_bytes()
    assert content == (tmp_path / "second" / TEST_IMAGES).read_bytes()
    assert content[3] == 0  # no name, no comment
    assert content[4:8] == bytes(4)  # no time


def test_a_missing_file_says_how_to_get_it(raw: Path) -> None:
    (raw / TEST_IMAGES).unlink()

    assert refused(raw) == f"{raw / TEST_IMAGES}: expected an IDX file, found none. `dvc repro` fetches it."


def test_a_part_is_read_as_it_was_written(raw: Path) -> None:
    images, labels = raw_files.read(raw, PART)

    assert np.array_equal(images, IMAGES)
    assert np.array_equal(labels, LABELS)


ALTERED = IMAGES.copy()
ALTERED[0, 0, 0] ^= 1

OTHER_DATA = {
    "an image less": (TEST_IMAGES, raw_files.encode(IMAGES[:-1])),
    "as many again": (TEST_IMAGES, raw_files.encode(np.concatenate([IMAGES, IMAGES]))),
    "two dimensions": (TEST_IMAGES, raw_files.encode(IMAGES.reshape(40, 784))),
    "another pixel": (TEST_IMAGES, raw_files.encode(ALTERED)),
    "no label": (TEST_LABELS, raw_files.encode(LABELS[:0])),
    "another order": (TEST_LABELS, raw_files.encode(LABELS[::-1])),
    "another type": (TEST_LABELS, b"\0\0\x0d" + raw_files.encode(LABELS)[3:]),
    "the start of a header": (TEST_LABELS, b"\0\0\x08"),
    "a label more": (TEST_LABELS, raw_files.encode(LABELS) + b"\0"),
    "a label less": (TEST_LABELS, raw_files.encode(LABELS)[:-1]),
    "a page": (TEST_LABELS, b"<!DOCTYPE html>"),
    "nothing": (TEST_LABELS, b""),
}


@pytest.mark.parametrize(("name", "content"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_whole_files_with_other_data_are_refused(raw: Path, name: str, content: bytes) -> None:
    (raw / name).write_bytes(gzip.compress(content, mtime=0))

    message = refused(raw)

    assert message.startswith(f"{raw / name}: expected it to unpack to the SHA-256 ")
    assert hashlib.sha256(content[: len(raw_files.encode(IMAGES)) + 1]).hexdigest() in message
    assert message.endswith(" Remove the file and run `dvc repro` to fetch it again.")


def test_other_data_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"expected it to unpack to the SHA-256 .* Install the versions of requirements\.lock\.",
    ):
        raw_files.write(tmp_path, PART, ALTERED, LABELS)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_facts_agree_with_themselves(dataset: Dataset) -> None:
    assert [len(part.class_counts) for part in (dataset.train, dataset.test)] == [10, 10]
    assert len({file.name for file in dataset.files}) == 4
    assert len({file.sha256 for file in dataset.files}) == 4
    assert all(len(file.sha256) == 64 for file in dataset.files)


@needs_mnist
def test_facts_about_mnist_are_those_of_the_published_files() -> None:
    sums = dict(reversed(line.split()) for line in (MNIST_FOLDER / "SHA256SUMS").read_text().splitlines())

    assert {file.name: file.published.sha256 for file in MNIST.files} == sums
    for file in MNIST.files:
        assert (MNIST_FOLDER / file.name).stat().st_size == file.published.size
        assert files.sha256(MNIST_FOLDER / file.name) == file.published.sha256


@needs_mnist
@pytest.mark.parametrize("part", [MNIST.train, MNIST.test], ids=["train", "test"])
def test_facts_about_mnist_are_those_of_its_images(part) -> None:
    images, labels = raw_files.read(MNIST_FOLDER, part)

    assert images.shape == (part.size, 28, 28)
    assert np.bincount(labels).tolist() == list(part.class_counts)


def test_mnist_has_the_sizes_that_everybody_knows() -> None:
    assert (MNIST.train.size, MNIST.test.size) == (60_000, 10_000)
    assert (DIGITS.train.size, DIGITS.test.size) == (1500, 297)


def test_digits_are_enlarged_exactly() -> None:
    small = np.zeros((1, 8, 8), np.int64)
    small[0, 0, 0], small[0, 7, 7], small[0, 3, 4] = 16, 8, 1

    large = digits.enlarge(small)[0]

    assert large.dtype == np.uint8
    assert large.shape == (28, 28)
    expected = np.zeros((28, 28), np.uint8)
    expected[2:5, 2:5], expected[23:26, 23:26], expected[11:14, 14:17] = 255, 128, 16
    assert np.array_equal(large, expected)


def test_the_digits_sample_is_written_as_the_published_files_are(tmp_path: Path) -> None:
    digits.write(tmp_path / "raw")

    images, labels = raw_files.read(tmp_path / "raw", DIGITS.train)
    test_images, test_labels = raw_files.read(tmp_path / "raw", DIGITS.test)
    assert sorted(file.name for file in (tmp_path / "raw").iterdir()) == sorted(f.name for f in DIGITS.files)
    assert (len(images), len(test_images)) == (1500, 297)
    assert set(np.unique(images)) == {(level * 510 + 16) // 32 for level in range(17)}
    assert labels[:10].tolist() == list(range(10))
    assert test_labels[-3:].tolist() == [8, 9, 8]
