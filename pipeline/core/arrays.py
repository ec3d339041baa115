"""Arrays as .npy files: the same array gives the same bytes; no pickle is ever read."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pipeline.core import files
from pipeline.core.errors import damaged


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
        DataError: not there, not a .npy file, a pickle, or another type or shape than expected.
    """
    try:
        array = open_memmap(path, mode="r")  # takes memory for what is there, whatever the header claims
    except FileNotFoundError:
        raise damaged(path, "expected an array, found no file") from None
    except Exception as error:  # numpy parses the header as Python, and a damaged one can fail in any way
        raise damaged(path, f"expected a .npy array, got: {error}") from error
    if (size := path.stat().st_size) != (claimed := array.offset + array.nbytes):
        raise damaged(path, f"expected {claimed:,} bytes, as its header says, got {size:,}")
    fits = len(shape) == array.ndim and all(
        length in (None, size) for length, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        wanted = tuple("n" if length is None else length for length in shape)
        raise damaged(path, f"expected {np.dtype(dtype)} {wanted}, got {array.dtype} {array.shape}")
    return array if mapped else np.array(array)
