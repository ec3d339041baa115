"""IDX files of any type, gzipped or not; `pipeline.download.raw_files` describes the format."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_DIMENSIONS = 4
_DEFLATE = 1032  # no gzip file unpacks to more times its size
_REMEDY = "Copy the file again from where it was published."


def read(path: Path) -> NDArray[Any]:
    """Read an array, which takes no more memory than the file can hold, whatever its header claims.

    Returns:
        Read-only, in the byte order of the file.

    Raises:
        DataError: a damaged file, or one whose header and length disagree.
    """
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if gzipped else file
        try:
            dtype, shape = _header(path, stream)
            expected = math.prod(shape) * dtype.itemsize
            size = path.stat().st_size
            if expected > size * (_DEFLATE if gzipped else 1):
                raise _disagreeing(path, expected, f"a file of {size:,}")
            content = stream.read(expected + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: expected a whole gzip file, got: {error}. {_REMEDY}") from error
    if len(content) != expected:
        raise _disagreeing(path, expected, f"{len(content):,}" if len(content) < expected else "more")
    return np.frombuffer(content, dtype).reshape(shape)


def _header(path: Path, stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    start = stream.read(4)
    if len(start) == 4 and start[:2] == b"\0\0" and start[2] in _TYPES and 1 <= start[3] <= _MOST_DIMENSIONS:
        lengths = stream.read(4 * start[3])
        if len(lengths) == 4 * start[3] and all(shape := struct.unpack(f">{start[3]}I", lengths)):
            return np.dtype(_TYPES[start[2]]), shape
        start += lengths
    raise DataError(
        f"{path}: expected an IDX header (two zero bytes, a type, 1 to {_MOST_DIMENSIONS} dimensions, their "
        f"lengths, none of them 0), got {start.hex(' ') or 'an empty file'}. {_REMEDY}"
    )


def _disagreeing(path: Path, expected: int, got: str) -> DataError:
    return DataError(
        f"{path}: expected {expected:,} bytes after the header, as it says, got {got}. {_REMEDY}"
    )
