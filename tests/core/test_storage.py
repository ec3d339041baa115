"""Damaged arrays and checkpoints: an error that says what is wrong, or none; never another number."""

import io
import os
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import arrays, files
from pipeline.core.errors import DataError
from pipeline.train.checkpoints import Checkpoint, Content

FLIPS = 400
ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)
CONTENT = Content(np.arange(8.0).reshape(2, 4), [ARRAY, np.array(7, np.int64), np.float32([0.5])])


def flipped(content: bytes, end: int | None = None) -> Iterator[bytes]:
    """The content with one bit flipped, at places spread over all of it (or over its first `end` bytes)."""
    bits = 8 * len(content[:end])
    for place in np.unique(np.linspace(0, bits - 1, min(FLIPS, bits), dtype=int)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


# --- arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    arrays.write(tmp_path / "array.npy", ARRAY)
    return tmp_path / "array.npy"


def header(shape: str, *, descr: str = "<f4", more: bytes = b"") -> bytes:
    """A .npy file that claims this shape and holds `more`."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + more


@pytest.mark.parametrize("mapped", [False, True])
def test_an_array_comes_back_as_it_was_written(path: Path, mapped: bool) -> None:
    found = arrays.read(path, np.float32, (None, 3), mapped=mapped)

    np.testing.assert_array_equal(found, ARRAY)
    assert isinstance(found, np.memmap) is mapped
    assert found.flags.writeable is not mapped


@pytest.mark.parametrize("mapped", [False, True])
def test_a_bit_that_flips_in_a_header_is_an_error_or_changes_nothing(path: Path, mapped: bool) -> None:
    content = path.read_bytes()
    for damaged in flipped(content, end=len(content) - ARRAY.nbytes):
        path.write_bytes(damaged)
        try:
            found = arrays.read(path, np.float32, (None, 3), mapped=mapped)
        except DataError as error:
            assert f"{path}: expected " in str(error)  # noqa: PT017  (an error is allowed, not required)
        else:
            np.testing.assert_array_equal(found, ARRAY)


MIB = 1 << 20
LIES = [
    ("of ten million million bytes", header("(833333333333, 3)"), "expected a .npy array, got: "),
    ("of more than an integer holds", header(f"({2**70}, 3)"), "expected a .npy array, got: "),
    ("of a product that overflows", header(f"({2**62}, 4)"), "expected a .npy array, got: "),
    ("of half a gigabyte", header(f"({128 * MIB // 3}, 3)"), "expected a .npy array, got: "),
    ("of less than there is", header("(1, 3)", more=bytes(24)), "expected 140 bytes, as its header says, "),
    ("of another shape", header("(2, 4)", more=bytes(32)), "expected float32 ('n', 3), got float32 (2, 4)."),
    ("of one dimension", header("(3,)", more=bytes(12)), "expected float32 ('n', 3), got float32 (3,)."),
    ("of another type", header("(1, 3)", descr="<i4", more=bytes(12)), "got int32 (1, 3)."),
    ("of another byte order", header("(1, 3)", descr=">f4", more=bytes(12)), "got >f4 (1, 3)."),
    ("that is none", header("(1, 3"), "expected a .npy array, got: "),
    ("that is missing", b"", "expected a .npy array, got: "),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_header_that_lies_is_an_error_and_costs_no_memory(
    path: Path, content: bytes, said: str, mapped: bool
) -> None:
    path.write_bytes(content)
    tracemalloc.start()

    with pytest.raises(DataError) as caught:
        arrays.read(path, np.float32, (None, 3), mapped=mapped)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said in str(caught.value)
    assert str(caught.value).endswith(" Run `dvc repro` to make it again.")
    assert peak < MIB


def test_files_of_many_threads_have_the_process_mode_and_leave_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: files.write_text(tmp_path / str(number % 50), "x"), range(2000)))
        with files.replacing_folder(tmp_path / "folder"):
            pass
    finally:
        assert os.umask(before) == 0o027
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.is_file()} == {0o640}
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
    assert len(list(tmp_path.iterdir())) == 51  # and no temporary name


def test_an_archive_is_no_array(path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, ARRAY)
    path.write_bytes(stream.getvalue())

    with pytest.raises(DataError, match=r"expected a \.npy array, got an archive of several\."):
        arrays.read(path, np.float32, (None, 3))


# --- checkpoints


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    one = Checkpoint("run", "processor")
    one.save(CONTENT)
    return one


def assert_same(found: Content | None) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.rows, CONTENT.rows)
    assert len(found.variables) == len(CONTENT.variables)
    for value, expected in zip(found.variables, CONTENT.variables, strict=True):
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)


def test_a_checkpoint_comes_back_to_its_run_and_processor_alone(checkpoint: Checkpoint) -> None:
    assert_same(checkpoint.load())
    assert Checkpoint("another run", "processor").load() is None
    assert Checkpoint("run", "another processor").load() is None


def test_a_bit_that_flips_in_a_checkpoint_leaves_none_or_the_same(checkpoint: Checkpoint) -> None:
    content = checkpoint.path.read_bytes()
    lost = 0
    for damaged in flipped(content):
        checkpoint.path.write_bytes(damaged)
        if (found := checkpoint.load()) is None:
            lost += 1
        else:
            assert_same(found)
    assert lost > FLIPS // 2  # the others are in fields that nobody reads, such as an entry's time


def archive(**arrays: object) -> bytes:
    stream = io.BytesIO()
    usual = {"owner": np.array(["run", "processor"]), "rows": CONTENT.rows, "count": np.array(1)}
    usual["variable-000"] = ARRAY
    np.savez(stream, allow_pickle=False, **{k: v for k, v in (usual | arrays).items() if v is not None})
    return stream.getvalue()


def bare(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=False)
    return stream.getvalue()


NONE = [
    ("nothing", b""),
    ("a text", b"no checkpoint"),
    ("half of one", archive()[: len(archive()) // 2]),
    ("an array", bare(ARRAY)),
    ("an array that claims half a gigabyte", header(f"({128 * MIB},)")),
    ("no owner", archive(owner=None)),
    ("an owner of another type", archive(owner=np.zeros(2))),
    ("no rows", archive(rows=None)),
    ("no epoch", archive(rows=np.zeros((0, 4)))),
    ("rows of one dimension", archive(rows=np.zeros(4))),
    ("rows of another type", archive(rows=np.zeros((2, 4), np.float32))),
    ("rows of texts", archive(rows=np.array([["a"]]))),
    ("no count", archive(count=None)),
    ("a variable too few", archive(**{"variable-000": None})),
    ("a variable too many", archive(**{"variable-001": ARRAY})),
    ("a variable of another name", archive(**{"variable-000": None, "variable-001": ARRAY})),
    ("a variable of texts", archive(**{"variable-000": np.array(["a"])})),
]


@pytest.mark.parametrize("content", [one[1] for one in NONE], ids=[one[0] for one in NONE])
def test_what_is_no_checkpoint_counts_as_none(checkpoint: Checkpoint, content: bytes) -> None:
    checkpoint.path.write_bytes(archive())
    assert checkpoint.load() is not None
    checkpoint.path.write_bytes(content)

    assert checkpoint.load() is None
