"""A data set of one's own: an .npz, IDX files or folders of images in; checked arrays in one form out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from pipeline.core import arrays, files
from pipeline.core.errors import DataError, damaged
from pipeline.download import idx, image_folders, npz


class RawExamples(NamedTuple):
    """The training or the test part.

    Attributes:
        inputs: images (n, height, width, channels) or tables (n, features), uint8 or float32, finite.
        labels: shape (n,), from 0.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]


class OwnData(NamedTuple):
    """A data set in which every class has a training example.

    Attributes:
        test: None where none was given.
        classes: names in the order of the labels; "0", "1", ... where none were given.
    """

    train: RawExamples
    test: RawExamples | None
    classes: tuple[str, ...]


class _Array(NamedTuple):
    """An array as it was given; messages name its source."""

    source: str
    values: NDArray[Any]


_Arrays = Mapping[str, _Array]
"""By Keras' names: x_train and y_train, perhaps x_test and y_test, perhaps classes."""

_NUMBER = (
    "Number the classes from 0, in both parts at once: "
    "`classes, y = np.unique(np.concatenate([y_train, y_test]), return_inverse=True)`."
)


def read(folder: Path) -> OwnData:
    """Read and check the data set that a person put into `folder` in one of three forms.

    Raises:
        DataError: none of the forms, or data that nothing can be trained on.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: expected a folder with your data, got none. "
            "Make it, and put an .npz file, IDX files or folders of images into it."
        )
    entries = image_folders.entries(folder)
    names = [entry.name + "/" * entry.is_dir() for entry in entries]
    roles = [_role(name) for name in names]
    if len(names) == 1 and names[0].endswith(".npz"):
        read = npz.read(entries[0])
        return _checked({key: _Array(f"{entries[0]}: {key}", values) for key, values in read.items()})
    if sorted(roles) in (npz.TRAIN, npz.TRAIN_AND_TEST):
        return _checked(_read_idx(dict(zip(roles, entries, strict=True))))
    if names in (["train/"], ["test/", "train/"]):
        return _checked(_read_images(folder, [name.rstrip("/") for name in reversed(names)]))
    raise DataError(
        f"{folder}: expected either one .npz file, or IDX files named *train*images* and *train*labels* "
        "(perhaps also *test* or *t10k* of both), or the folder train/ (perhaps also test/) with a folder "
        f"for each class; got {', '.join(names) or 'an empty folder'}. Move away what is not of one form; "
        "docs/own-task.md shows how a .csv becomes an .npz."
    )


def write(raw: Path, data: OwnData) -> None:
    """Put the data set into the folder `raw`, in place of what is there: the same data, the same bytes."""
    with files.replacing_folder(raw) as folder:
        for name, part in (("train", data.train), ("test", data.test)):
            if part is not None:
                arrays.write(folder / f"{name}_inputs.npy", part.inputs)
                arrays.write(folder / f"{name}_labels.npy", part.labels)
        files.write_json(folder / "classes.json", data.classes)


def load(raw: Path) -> OwnData:
    """Load what `write` wrote; the arrays are read-only and stay on disk until they are used.

    Raises:
        DataError: a file is missing, or is not an array.
    """

    def part(name: str) -> RawExamples:
        return RawExamples(_load(raw / f"{name}_inputs.npy"), _load(raw / f"{name}_labels.npy"))

    test = part("test") if (raw / "test_inputs.npy").exists() else None
    return OwnData(part("train"), test, tuple(files.read_json(raw / "classes.json")))


def _load(path: Path) -> NDArray[Any]:
    try:
        return open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python, and a damaged one can fail in any way
        raise damaged(path, f"expected a .npy array, got: {error}") from error


def _role(name: str) -> str:
    """Tell which array an IDX file holds by its name; "" for all other names."""
    kind = "x" if "images" in name else "y" if "labels" in name else ""
    part = "train" if "train" in name else "test" if "test" in name or "t10k" in name else ""
    return f"{kind}_{part}" if kind and part and not name.endswith("/") else ""


def _read_idx(paths: Mapping[str, Path]) -> _Arrays:
    read = {role: _Array(str(path), idx.read(path)) for role, path in paths.items()}
    for role, (source, values) in read.items():
        if role.startswith("y") and values.ndim == 2 and values.shape[1] == 8:  # QMNIST: the class is first
            read[role] = _Array(source, values[:, 0])
    return read


def _read_images(folder: Path, parts: list[str]) -> _Arrays:
    classes, examples = image_folders.read(folder, parts)
    read = {"classes": _Array(str(folder / "train"), np.array(classes, dtype=np.str_))}
    for part, (images, labels) in examples.items():
        read[f"x_{part}"] = _Array(str(folder / part), images)
        read[f"y_{part}"] = _Array(str(folder / part), labels)
    return read


def _checked(given: _Arrays) -> OwnData:
    """Check what all forms must fulfil, and give it in the normal form."""
    train = _examples(given["x_train"], given["y_train"])
    test = _examples(given["x_test"], given["y_test"]) if "x_test" in given else None
    if test is not None:
        expected, got = (
            f"{part.inputs.dtype} examples of shape {part.inputs.shape[1:]}" for part in (train, test)
        )
        if got != expected:
            raise DataError(
                f"{given['x_test'].source}: expected {expected}, as in training, got {got}. "
                "Make both parts in the same way."
            )
    return OwnData(train, test, _classes(given, train, test))


def _examples(inputs: _Array, labels: _Array) -> RawExamples:
    """Check one part and give it its form."""
    source, values = inputs
    if values.dtype != np.uint8 and values.dtype.kind != "f":
        raise DataError(
            f"{source}: expected uint8 or floats, got {values.dtype}. "
            "Convert grey levels from 0 to 255 by `.astype('uint8')`, other numbers by `.astype('float32')`."
        )
    if not 2 <= values.ndim <= 4:
        raise DataError(
            f"{source}: expected the shape (n, features), (n, height, width) or "
            f"(n, height, width, channels), got {values.shape}. Reshape it."
        )
    # PyTorch's order: nobody's images have 1 or 3 rows and more than 4 channels.
    if values.ndim == 4 and values.shape[1] in (1, 3) and min(values.shape[2:]) > 4:
        raise DataError(
            f"{source}: expected the shape (n, height, width, channels), got {values.shape}, which looks "
            "like (n, channels, height, width). Write it again by `.transpose(0, 2, 3, 1)`."
        )
    if 0 in values.shape:
        raise DataError(
            f"{source}: expected at least 1 example of at least 1 value, got the shape {values.shape}. "
            "Write it again with its data."
        )
    with np.errstate(all="ignore"):  # what overflows is found below
        numbers = np.ascontiguousarray(values, np.uint8 if values.dtype == np.uint8 else np.float32)
    if not (finite := np.isfinite(numbers)).all():
        position = tuple(np.argwhere(~finite)[0].tolist())
        raise DataError(
            f"{source}: expected finite numbers that float32 can hold, got {values[position]} at {position}. "
            "Replace such numbers, or leave the examples out."
        )
    if numbers.ndim == 3:
        numbers = numbers[..., np.newaxis]
    source, values = labels
    if values.dtype.kind not in "iu":
        raise DataError(f"{source}: expected integers from 0 as labels, got {values.dtype}. {_NUMBER}")
    if values.shape not in ((count := len(numbers),), (count, 1)):
        raise DataError(
            f"{source}: expected a label for each of the {count:,} examples, the shape ({count},) or "
            f"({count}, 1), got {values.shape}. One-hot labels become numbers by `.argmax(axis=1)`."
        )
    return RawExamples(numbers, np.ascontiguousarray(values.reshape(-1), np.int64))


def _classes(given: _Arrays, train: RawExamples, test: RawExamples | None) -> tuple[str, ...]:
    """Check the labels and the names of the classes; give the names."""
    names = _names(given["classes"]) if "classes" in given else None
    present = set(np.unique(train.labels).tolist())
    low, high = min(present), max(present)
    last = high if names is None else len(names) - 1
    named = "" if names is None else f", as there are {len(names)} names in {given['classes'].source}"
    missing = next((label for label in range(last + 1) if label not in present), None)
    for wrong, finding in (
        (low < 0, f"labels from 0, got {low}. {_NUMBER}"),
        (
            low == 1 and high == last + bool(names),
            f"labels from 0, got 1 to {high}. Subtract 1, in both parts.",
        ),
        (last < 1, f"at least 2 classes, got {last + 1}. Add examples of another class."),
        (high > last, f"labels from 0 to {last}{named}, got {high}. Name every class."),
        (
            missing is not None,
            f"all labels from 0 to {last}{named}, got none of {missing}. "
            "Add training examples of it, or leave the class out and number the others without a gap.",
        ),
    ):
        if wrong:
            raise DataError(f"{given['y_train'].source}: expected {finding}")
    if test is not None:
        for label in (test.labels.min(), test.labels.max()):
            if not 0 <= label <= last:
                expected = f"expected labels from 0 to {last}, as in training"
                raise DataError(f"{given['y_test'].source}: {expected}, got {label}. {_NUMBER}")
    return tuple(map(str, range(last + 1))) if names is None else tuple(names)


def _names(classes: _Array) -> list[str]:
    source, values = classes
    if values.dtype.kind != "U" or values.ndim != 1:
        raise DataError(
            f"{source}: expected a list of names, got {values.dtype} of shape {values.shape}. "
            "Write it by `np.array([...], dtype=str)`."
        )
    names: list[str] = values.tolist()
    for position, name in enumerate(names):
        if not name.strip() or not name.isprintable() or name in names[:position]:
            raise DataError(
                f"{source}: expected distinct, printable names of classes, got {name!r}"
                f"{' again' * (name in names[:position])}. Rename the class."
            )
    return names
