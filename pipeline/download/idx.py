"""IDX files of bytes, compressed with gzip: the format in which MNIST is published.

An IDX file is two zero bytes, the type (8: unsigned byte), the number of dimensions, each dimension's length
as a big-endian 32-bit number, then the values, the last dimension fastest
(http://yann.lecun.com/exdb/mnist, "The IDX file format").
"""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core import files
from pipeline.core.errors import DataError

UNSIGNED_BYTE = 0x08


def read(path: Path, shape: tuple[int | None, ...], at_most: int) -> NDArray[np.uint8]:
    """Read and check one file; it is never decompressed further than `at_most` images or labels.

    Args:
        shape: expected length of each dimension; None stands for any length.
        at_most: the largest length of the first dimension that is believed.

    Raises:
        DataError: not there, not gzip, cut off, or not the IDX file that `shape` describes.
    """
    limit = 4 + 4 * len(shape) + at_most * math.prod(length or 1 for length in shape[1:])
    try:
        # What cannot be compressed grows in gzip by less than 1/1000: a longer file is something else.
        with path.open("rb") as stream:
            compressed = stream.read(limit + limit // 1000 + 1024)
        return decode(decompress(compressed, limit), shape)
    except FileNotFoundError:
        raise DataError(f"{path}: expected an IDX file, found none. `dvc repro` fetches it.") from None
    except (DataError, OSError) as error:
        raise DataError(f"{path}: {error} Remove the file and run `dvc repro` to fetch it again.") from error


def write(path: Path, values: NDArray[np.uint8]) -> None:
    """Write a file that `read` reads; it holds no time or name: the same values give the same bytes."""
    with (
        files.replacing(path) as temporary,
        temporary.open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=stream, mtime=0) as compressed,
    ):
        compressed.write(encode(values))


def digest(values: NDArray[np.uint8]) -> str:
    """SHA-256 of the IDX file that holds `values`, before compression."""
    hashed = hashlib.sha256(_header(values.shape))
    hashed.update(np.ascontiguousarray(values).data)
    return hashed.hexdigest()


def encode(values: NDArray[np.uint8]) -> bytes:
    return _header(values.shape) + values.tobytes()


def decode(content: bytes, shape: tuple[int | None, ...]) -> NDArray[np.uint8]:
    """Check every field of an IDX file's header, then view its values (read-only, no copy).

    Args:
        shape: expected length of each dimension; None stands for any length.

    Raises:
        DataError: a field or the length differs from what `shape` asks for.
    """
    if len(content) < 4:
        raise DataError(f"expected an IDX file, got {len(content)} bytes, too few for its first four.")
    zeros, kind, dimensions = content[:2], content[2], content[3]
    if zeros != b"\0\0":
        raise DataError(f"expected an IDX file, which begins with 00 00, got {zeros.hex(' ')}.")
    if kind != UNSIGNED_BYTE:
        raise DataError(f"expected values of type 0x08 (unsigned byte), got type 0x{kind:02x}.")
    if dimensions != len(shape):
        raise DataError(f"expected {len(shape)} dimension(s), got {dimensions}.")
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"expected a header of {start} bytes, got {len(content)} bytes in all.")
    found = struct.unpack_from(f">{dimensions}I", content, 4)
    if any(want not in (None, have) for want, have in zip(shape, found, strict=True)):
        wanted = " x ".join("n" if length is None else str(length) for length in shape)
        raise DataError(f"expected the shape {wanted}, got {' x '.join(map(str, found))}.")
    if (length := len(content) - start) != math.prod(found):
        # Decompressing stops soon after the expected end, so of a longer file the length is not known.
        got = f"{length:,}" if length < math.prod(found) else "more"
        raise DataError(f"expected {math.prod(found):,} bytes after the header, got {got}.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(found)


def decompress(compressed: bytes, limit: int) -> bytes:
    """Undo gzip, one byte beyond `limit` at most: a small file that unfolds to gigabytes does not get to.

    Raises:
        DataError: not gzip, damaged, cut off, or followed by something else.
    """
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(compressed, limit + 1)
    except zlib.error as error:
        raise DataError(f"expected a gzip file, got other or damaged bytes ({error}).") from None
    if len(content) <= limit:
        if not stream.eof:
            raise DataError(
                f"expected a whole gzip file, got one that breaks off ({len(compressed):,} bytes)."
            )
        if stream.unused_data:
            raise DataError("expected nothing after the end of the gzip file, got further bytes.")
    return content


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, UNSIGNED_BYTE, len(shape), *shape)
