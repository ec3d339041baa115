"""Arrays as .npy files: the same array gives the same bytes; no pickle is ever read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core import files
from pipeline.core.errors import DataError


def write(path: Path, array: NDArray[Any]) -> None:
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def read(
    path: Path, dtype: type[np.generic], shape: tuple[int | None, ...], *, mapped: bool = False
) -> NDArray[Any]:
    """Read an array whose type and shape are known; None stands for any length.

    Args:
        mapped: leave the values on disk until they are used (read-only).

    Raises:
        DataError: not there, no .npy file, a pickle, or another type or shape than expected.
    """
    want = tuple("n" if length is None else length for length in shape)
    array = _map(path)
    fits = array.ndim == len(shape) and all(
        length is None or have == length for have, length in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        raise DataError(
            f"{path}: expected {np.dtype(dtype)} {want}, got {array.dtype} {array.shape}. "
            "Run `dvc repro` to make it again."
        )
    return array if mapped else np.array(array)


def read_chunks(
    path: Path, dtype: type[np.generic], shape: tuple[int | None, ...], rows: int = 2000
) -> Iterator[NDArray[Any]]:
    """Read an array `rows` rows at a time; memory holds one chunk, however large the file is.

    Raises:
        DataError: as `read`.
    """
    size = len(read(path, dtype, shape, mapped=True))
    for start in range(0, size, rows):
        # Mapped anew for each chunk: the pages of the last one leave the process with it.
        yield np.array(read(path, dtype, shape, mapped=True)[start : start + rows])


def _map(path: Path) -> NDArray[Any]:
    """Map a .npy file: memory is taken for what is really there, whatever the header claims."""
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(
            f"{path}: expected an array, found no file. Run `dvc repro` to make it again."
        ) from None
    except Exception as error:  # numpy parses the header as Python, and a damaged one can fail in any way
        raise DataError(
            f"{path}: expected a .npy array, got: {error}. Run `dvc repro` to make it again."
        ) from error
    if not isinstance(found, np.memmap):
        found.close()
        raise DataError(
            f"{path}: expected a .npy array, got an archive of several. Run `dvc repro` to make it again."
        )
    if (size := path.stat().st_size) != (claimed := found.offset + found.nbytes):
        raise DataError(
            f"{path}: expected {claimed:,} bytes, as its header says, got {size:,}. "
            "Run `dvc repro` to make it again."
        )
    return found
