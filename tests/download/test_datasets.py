"""IDX files, parts of a data set and the digits sample: what is read, and what damaged files get."""

import contextlib
import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.core import files
from pipeline.core.datasets import DATASETS, DIGITS, MNIST, Dataset
from pipeline.core.errors import DataError
from pipeline.download import digits, idx, raw_files
from tests.data_fixtures import MNIST_FOLDER, needs_mnist, small_part

IMAGES = (None, 28, 28)


def header(*lengths: int, zeros: bytes = b"\0\0", kind: int = 8, dimensions: int | None = None) -> bytes:
    count = len(lengths) if dimensions is None else dimensions
    return zeros + bytes([kind, count]) + struct.pack(f">{len(lengths)}I", *lengths)


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_what_is_encoded_is_decoded_again(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)

    decoded = idx.decode(idx.encode(values), IMAGES)

    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, values)
    assert not decoded.flags.writeable


DAMAGED = [
    (b"", "expected an IDX file, got 0 bytes, too few for its first four."),
    (b"\0\0\x08", "expected an IDX file, got 3 bytes, too few for its first four."),
    (b"<!DOCTYPE html>", "expected an IDX file, which begins with 00 00, got 3c 21."),
    (header(1, 28, 28, zeros=b"\0\1"), "expected an IDX file, which begins with 00 00, got 00 01."),
    (header(1, 28, 28, kind=0x0D), "expected values of type 0x08 (unsigned byte), got type 0x0d."),
    (header(dimensions=3), "expected a header of 16 bytes, got 4 bytes in all."),
    (header(1) + b"\0", "expected 3 dimension(s), got 1."),
    (header(1, 28, 28)[:15], "expected a header of 16 bytes, got 15 bytes in all."),
    (header(1, 27, 28) + bytes(756), "expected the shape n x 28 x 28, got 1 x 27 x 28."),
    (header(1, 28, 32) + bytes(896), "expected the shape n x 28 x 28, got 1 x 28 x 32."),
    (header(1, 28, 28) + bytes(783), "expected 784 bytes after the header, got 783."),
    (header(1, 28, 28) + bytes(785), "expected 784 bytes after the header, got more."),
    (header(2**32 - 1, 28, 28) + bytes(784), "expected 3,367,254,359,280 bytes after the header, got 784."),
    (header(0, 28, 28) + b"\0", "expected 0 bytes after the header, got more."),
]


@pytest.mark.parametrize(("content", "said"), DAMAGED)
def test_each_field_of_an_idx_header_is_checked(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        idx.decode(content, IMAGES)

    assert str(caught.value) == said


@settings(deadline=None)
@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda tail: header(1, 28, 28) + tail))
@example(header(0, 28, 28))
def test_any_bytes_are_an_idx_file_or_a_data_error(content: bytes) -> None:
    try:
        values = idx.decode(content, IMAGES)
    except DataError:
        return
    assert idx.encode(values) == content


@settings(deadline=None)
@given(st.data())
def test_a_damaged_gzip_file_is_the_same_data_or_a_data_error(data: st.DataObject) -> None:
    content = idx.encode(small_part(10)[0])
    compressed = bytearray(gzip.compress(content, mtime=0))
    match data.draw(st.sampled_from(["flip", "cut", "append", "random"])):
        case "flip":
            place = data.draw(st.integers(0, len(compressed) - 1))
            compressed[place] ^= data.draw(st.integers(1, 255))
        case "cut":
            del compressed[data.draw(st.integers(0, len(compressed) - 1)) :]
        case "append":
            compressed += data.draw(st.binary(min_size=1, max_size=50))
        case "random":
            compressed = bytearray(data.draw(st.binary(max_size=100)))
    with contextlib.suppress(DataError):
        # A few bits of the gzip header mean nothing: time, operating system.
        assert idx.decompress(bytes(compressed), len(content)) == content


@pytest.mark.parametrize(
    ("compressed", "said"),
    [
        (b"", "expected a whole gzip file, got one that breaks off (0 bytes)."),
        (b"PK\3\4 a zip file", "expected a gzip file, got other or damaged bytes"),
        (gzip.compress(b"x" * 90, mtime=0)[:-1], "expected a whole gzip file, got one that breaks off"),
        (gzip.compress(b"x" * 90, mtime=0)[:-8] + bytes(8), "got other or damaged bytes"),
        (
            gzip.compress(b"x" * 90, mtime=0) + b"y",
            "expected nothing after the end of the gzip file, got further bytes.",
        ),
        (
            gzip.compress(b"x" * 90, mtime=0) * 2,
            "expected nothing after the end of the gzip file, got further bytes.",
        ),
    ],
)
@pytest.mark.parametrize("limit", [90, 100], ids=["as long as may be", "shorter than may be"])
def test_what_is_no_whole_gzip_file_is_refused(compressed: bytes, said: str, limit: int) -> None:
    with pytest.raises(DataError) as caught:
        idx.decompress(compressed, limit)

    assert said in str(caught.value)


def test_a_gzip_bomb_takes_no_more_memory_than_the_file_it_claims_to_be(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(header(10, 28, 28))
        for _ in range(64):
            stream.write(bytes(1 << 20))

    tracemalloc.start()
    with pytest.raises(DataError, match="expected 7,840 bytes after the header, got more"):
        idx.read(path, IMAGES, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1 << 20


def test_a_file_that_is_far_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(bytes(1 << 24))

    tracemalloc.start()
    with pytest.raises(DataError, match="expected a gzip file"):
        idx.read(path, (None,), 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1 << 20


def test_written_files_hold_no_time_and_no_name(tmp_path: Path) -> None:
    images, _, _ = small_part()
    for name in ("one.gz", "two.gz"):
        idx.write(tmp_path / name, images)

    first = (tmp_path / "one.gz").read_bytes()
    assert first == (tmp_path / "two.gz").read_bytes()
    assert first[3] == 0  # no name, no comment
    assert first[4:8] == bytes(4)  # no time
    assert np.array_equal(idx.read(tmp_path / "one.gz", IMAGES, len(images)), images)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        idx.read(tmp_path / "a.gz", IMAGES, 1)

    assert (
        str(caught.value) == f"{tmp_path / 'a.gz'}: expected an IDX file, found none. `dvc repro` fetches it."
    )


def test_a_damaged_file_is_named_and_what_to_do_about_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08", mtime=0))

    with pytest.raises(DataError) as caught:
        idx.read(path, IMAGES, 1)

    assert str(caught.value) == (
        f"{path}: expected an IDX file, got 3 bytes, too few for its first four. "
        "Remove the file and run `dvc repro` to fetch it again."
    )


def test_a_part_is_read_as_it_was_written(tmp_path: Path) -> None:
    images, labels, part = small_part()
    idx.write(tmp_path / part.images.name, images)
    idx.write(tmp_path / part.labels.name, labels)

    read_images, read_labels = raw_files.read(tmp_path, part)

    assert np.array_equal(read_images, images)
    assert np.array_equal(read_labels, labels)


def _relabelled(old: int, new: int) -> np.ndarray:
    labels = small_part()[1].copy()
    labels[labels == old] = new
    return labels


IMAGES_OF_PART, LABELS_OF_PART, PART = small_part()
SWAPPED = IMAGES_OF_PART.copy()
SWAPPED[0, 0, 0] ^= 1

OTHER_DATA = [
    (IMAGES_OF_PART[:-1], LABELS_OF_PART, "expected as many labels as images, got 39 images in "
     "t10k-images-idx3-ubyte.gz and 40 labels in t10k-labels-idx1-ubyte.gz."),
    (IMAGES_OF_PART, _relabelled(9, 10), "expected labels 0 to 9 in t10k-labels-idx1-ubyte.gz, got 10 "
     "at position 9."),
    (IMAGES_OF_PART, _relabelled(3, 255), "expected labels 0 to 9 in t10k-labels-idx1-ubyte.gz, got 255 "
     "at position 3."),
    (IMAGES_OF_PART, _relabelled(4, 5), "expected every class in t10k-labels-idx1-ubyte.gz, got no image of "
     "class 4."),
    (IMAGES_OF_PART[:0], LABELS_OF_PART[:0], "expected every class in t10k-labels-idx1-ubyte.gz, got no "
     "image of class 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
    (IMAGES_OF_PART[:-1], LABELS_OF_PART[:-1], "expected 40 images in t10k-images-idx3-ubyte.gz, got 39."),
    (IMAGES_OF_PART, LABELS_OF_PART[::-1], "expected t10k-labels-idx1-ubyte.gz to unpack to the SHA-256 "),
    (SWAPPED, LABELS_OF_PART, "expected t10k-images-idx3-ubyte.gz to unpack to the SHA-256 "),
]  # fmt: skip


@pytest.mark.parametrize(("images", "labels", "said"), OTHER_DATA)
def test_well_formed_files_with_other_data_are_refused(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, said: str
) -> None:
    idx.write(tmp_path / PART.images.name, images)
    idx.write(tmp_path / PART.labels.name, labels)

    with pytest.raises(DataError) as caught:
        raw_files.read(tmp_path, PART)

    assert str(caught.value).startswith(f"{tmp_path}: {said}")
    assert str(caught.value).endswith(" Remove the folder and run `dvc repro` to fetch the files again.")


@pytest.mark.parametrize("extra", [1, 2, 30])
def test_more_images_than_there_should_be_are_refused_however_many(tmp_path: Path, extra: int) -> None:
    images = np.concatenate([IMAGES_OF_PART, IMAGES_OF_PART[:extra]])
    idx.write(tmp_path / PART.images.name, images)
    idx.write(tmp_path / PART.labels.name, LABELS_OF_PART)

    with pytest.raises(DataError, match=r"got 41 images|bytes after the header"):
        raw_files.read(tmp_path, PART)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_facts_agree_with_themselves(dataset: Dataset) -> None:
    assert [len(part.class_counts) for part in (dataset.train, dataset.test)] == [10, 10]
    assert len({file.name for file in dataset.files}) == 4
    assert len({file.content_sha256 for file in dataset.files}) == 4
    assert all(len(file.content_sha256) == 64 for file in dataset.files)


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


@pytest.mark.parametrize("value", [-1, 17, 255])
def test_other_digits_than_scikit_learns_are_refused(value: int) -> None:
    with pytest.raises(DataError, match=r"levels 0 to 16 .* versions of requirements/runtime.txt"):
        digits.enlarge(np.full((1, 8, 8), value))
    with pytest.raises(DataError, match=r"got the shape \(1, 28, 28\)"):
        digits.enlarge(np.zeros((1, 28, 28), np.int64))


def test_the_digits_sample_is_written_as_the_published_files_are(tmp_path: Path) -> None:
    digits.write(tmp_path / "raw")

    images, labels = raw_files.read(tmp_path / "raw", DIGITS.train)
    test_images, test_labels = raw_files.read(tmp_path / "raw", DIGITS.test)
    assert sorted(file.name for file in (tmp_path / "raw").iterdir()) == sorted(f.name for f in DIGITS.files)
    assert (len(images), len(test_images)) == (1500, 297)
    assert set(np.unique(images)) == {(level * 510 + 16) // 32 for level in range(17)}
    assert labels[:10].tolist() == list(range(10))
    assert test_labels[-3:].tolist() == [8, 9, 8]
