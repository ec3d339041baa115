"""Damaged arrays: an error that says what is wrong, never another number."""

import io
import os
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import arrays, files
from pipeline.core.errors import DataError
from tests.conftest import ROOT
from tests.core.conftest import flipped

ARRAY = np.arange(12, dtype=np.float32).reshape(4, 3)


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
    array = arrays.read(path, np.float32, (None, 3), mapped=mapped)

    np.testing.assert_array_equal(array, ARRAY)
    assert isinstance(array, np.memmap) is mapped
    assert array.flags.writeable is not mapped


@pytest.mark.parametrize("mapped", [False, True])
def test_a_bit_that_flips_in_a_header_is_an_error_or_changes_nothing(path: Path, mapped: bool) -> None:
    content = path.read_bytes()
    for damaged in flipped(content, end=len(content) - ARRAY.nbytes):
        path.write_bytes(damaged)
        try:
            array = arrays.read(path, np.float32, (None, 3), mapped=mapped)
        except DataError as error:
            assert f"{path}: expected " in str(error)  # noqa: PT017  (an error is allowed, not required)
        else:
            np.testing.assert_array_equal(array, ARRAY)


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


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_goes_a_day_later_and_nothing_else(tmp_path: Path, folder: bool) -> None:
    killed = "import os, signal, sys; from pathlib import Path; from pipeline.core import files\n"
    killed += (
        f"with files.replacing(Path(sys.argv[1]), folder={folder}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    path, neighbour = tmp_path / "out.d", tmp_path / ".out-original.d"
    subprocess.run([sys.executable, "-c", killed, str(path)], cwd=ROOT, check=False)
    (left,) = tmp_path.iterdir()
    neighbour.touch()
    for age, remaining in ((23 * 3600, {left, neighbour, path}), (25 * 3600, {neighbour, path})):
        for old in (left, neighbour):
            os.utime(old, (time.time() - age,) * 2)
        with files.replacing(path, folder=folder):
            pass
        assert set(tmp_path.iterdir()) == remaining


def test_an_archive_is_no_array(path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, ARRAY)
    path.write_bytes(stream.getvalue())

    with pytest.raises(DataError, match=r"expected a \.npy array, got: the magic string is not correct"):
        arrays.read(path, np.float32, (None, 3))
