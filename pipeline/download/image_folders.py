"""Images in folders `<part>/<class>/`: PNG and JPEG files, all of one size and mode."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DataError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_CONVERT = "With Pillow: `Image.open(path).convert('RGB').resize((32, 32)).save(path)`, or 'L' for grey."


def entries(folder: Path) -> list[Path]:
    """List a folder by name, without what hides in it, and without files that explain it or track it for DVC.

    Raises:
        DataError: a link leads nowhere.
    """
    kept = (path for path in folder.iterdir() if not path.name.startswith("."))
    wanted = [path for path in kept if path.is_dir() or (path.name != "README.md" and path.suffix != ".dvc")]
    for path in wanted:
        if not path.exists():
            raise DataError(
                f"{path}: expected data, got a link to {path.readlink()}, where there is nothing. "
                "Put the file itself here; what DVC keeps comes back by `dvc pull`."
            )
    return sorted(wanted, key=lambda path: path.name)


def read(
    folder: Path, parts: list[str]
) -> tuple[list[str], dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]]:
    """Read the folders `parts`, the first of which has every class.

    Returns:
        The classes, sorted; for each part, sorted by class and file name, the images (n, height, width,
        channels), with 1 channel or 3, and the labels (n,), indices into the list of classes.

    Raises:
        DataError: another file or folder, a class that the first part lacks, or an image that differs.
    """
    classes = [path.name for path in entries(folder / parts[0])]
    files = {part: _listed(folder / part, classes) for part in parts}
    pixels = _pixels([path for part in parts for path, _ in files[part]])
    examples = {}
    for part in parts:
        labels = np.array([label for _, label in files[part]], dtype=np.int64)
        examples[part], pixels = (pixels[: len(labels)], labels), pixels[len(labels) :]
    return classes, examples


def _listed(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """List the images of a part, each with its label."""
    listed = []
    for subfolder in entries(folder):
        if not subfolder.is_dir():
            raise DataError(
                f"{subfolder}: expected a folder of one class's images, got a file. Move it away."
            )
        if subfolder.name not in classes:
            raise DataError(
                f"{subfolder}: expected a class that train/ has as well, got one without a training image. "
                "Add some to train/, or remove the folder."
            )
        paths = entries(subfolder)
        if not paths:
            raise DataError(f"{subfolder}: expected images of one class, got an empty folder. Remove it.")
        for path in paths:
            if path.is_dir() or path.suffix.lower() not in _SUFFIXES:
                got = "a folder" if path.is_dir() else "another file"
                raise DataError(f"{path}: expected a .png, .jpg or .jpeg file, got {got}. Move it away.")
        label = classes.index(subfolder.name)
        listed += [(path, label) for path in paths]
    if not listed:
        raise DataError(f"{folder}: expected a folder of images for each class, got none. Add them.")
    return listed


def _pixels(paths: list[Path]) -> NDArray[np.uint8]:
    from PIL import Image  # which other forms of data do not need

    pixels = np.empty(0, np.uint8)
    first = ""
    for index, path in enumerate(paths):
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                # Pillow calls both RGB, and would drop half of the 16 bits without a word.
                mode = "RGB;16B" if image.tile[0].args == "RGB;16B" else image.mode
                form = f"{image.width} x {image.height} pixels in mode {mode}"
                if mode not in ("L", "RGB"):
                    raise DataError(f"{path}: expected mode L (grey) or RGB, 8 bits, got {mode}. {_CONVERT}")
                if index == 0:
                    first = form
                    pixels = np.empty((len(paths), image.height, image.width, len(mode)), np.uint8)
                if form != first:
                    raise DataError(f"{path}: expected {first}, as {paths[0]} has, got {form}. {_CONVERT}")
                pixels[index] = np.asarray(image).reshape(pixels.shape[1:])
        except DataError:
            raise
        except Exception as error:  # a damaged image can fail in any way
            raise DataError(f"{path}: expected an image, got: {error}. Replace or remove it.") from error
    return pixels
