"""The training and the test part of a data set: two IDX files each, gzipped, known by their SHA-256.

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
from pipeline.core.datasets import SIDE, File, Part
from pipeline.core.errors import DataError

_AGAIN = "Remove the file and run `dvc repro` to fetch it again."


def read(raw: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read one part from the folder of the four files.

    Returns:
        Images (n, 28, 28), 0 is paper and 255 is ink; labels (n,), 0 to 9. Both read-only.

    Raises:
        DataError: a file is missing or damaged, or holds other data than `part`.
    """
    images = _read(raw, part.images, (part.size, SIDE, SIDE))
    return images, _read(raw, part.labels, (part.size,))


def write(raw: Path, part: Part, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Write files that `read` reads; they hold no time or name: the same values give the same bytes.

    Raises:
        DataError: other images or labels than those of `part`.
    """
    for file, values in ((part.images, images), (part.labels, labels)):
        content = encode(values)
        _check(content, raw / file.name, file, "Install the versions of requirements.lock.")
        with (
            files.replacing(raw / file.name) as temporary,
            temporary.open("wb") as stream,
            gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=stream, mtime=0) as compressed,
        ):
            compressed.write(content)


def encode(values: NDArray[np.uint8]) -> bytes:
    """Give the IDX file of an array, before compression."""
    return _header(values.shape) + values.tobytes()


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def _read(raw: Path, file: File, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    path, header = raw / file.name, _header(shape)
    try:
        with gzip.open(path) as stream:  # a small file may unpack to gigabytes
            content = stream.read(len(header) + math.prod(shape) + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: expected an IDX file, found none. `dvc repro` fetches it.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file, got: {error}. {_AGAIN}") from error
    if file.content_sha256:
        _check(content, path, file, _AGAIN)
    elif len(content) != len(header) + math.prod(shape) or not content.startswith(header):
        raise DataError(f"{path}: expected unsigned bytes of shape {shape}, got something else. {_AGAIN}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _check(content: bytes, path: Path, file: File, remedy: str) -> None:
    if (got := hashlib.sha256(content).hexdigest()) != file.content_sha256:
        raise DataError(
            f"{path}: expected it to unpack to the SHA-256 {file.content_sha256}, got {got}. {remedy}"
        )
