"""Keras' form of a data set: one .npz with x_train, y_train, perhaps x_test and y_test, perhaps classes."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError

TRAIN = ["x_train", "y_train"]
TRAIN_AND_TEST = ["x_test", "x_train", "y_test", "y_train"]

_REMEDY = "Write it again by `np.savez_compressed`, from arrays of numbers (classes: of text)."


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays by their keys, whatever is in them.

    Raises:
        DataError: a damaged file, other keys, or anything that would take a pickle to read.
    """
    read: dict[str, NDArray[Any]] = {}
    source = str(path)
    try:
        if not zipfile.is_zipfile(path):  # numpy would call it a pickle
            raise DataError(f"{path}: expected a zip file, as every .npz is, got another one. {_REMEDY}")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            keys = sorted(archive.files)
            if [key for key in keys if key != "classes"] not in (TRAIN, TRAIN_AND_TEST):
                raise DataError(
                    f"{path}: expected the keys x_train, y_train, both or neither of x_test, y_test, and "
                    f"perhaps classes; got {', '.join(keys) or 'none'}. {_REMEDY}"
                )
            for key in keys:
                source = f"{path}: {key}"
                read[key] = archive[key]
                if not isinstance(read[key], np.ndarray):  # numpy gives what is no array as bytes
                    raise DataError(f"{source}: expected an array, got another file. {_REMEDY}")
    except DataError:
        raise
    except Exception as error:  # zip and header can be damaged in any way
        raise DataError(f"{source}: expected an array, got: {error}. {_REMEDY}") from error
    return read
