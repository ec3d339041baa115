"""A data set of one's own: each form that is read, and the words for everything that is not."""

import gzip
import io
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core import files
from pipeline.core.errors import DataError
from pipeline.download import own
from tests.conftest import ROOT

GREY = np.random.default_rng(0).integers(0, 256, (6, 4, 5), dtype=np.uint8)
TABLE = np.random.default_rng(1).normal(size=(6, 3))
LABELS = np.array([0, 1, 2, 2, 1, 0])
NUMBER = (
    "Number the classes from 0, in both parts at once: "
    "`classes, y = np.unique(np.concatenate([y_train, y_test]), return_inverse=True)`."
)
SAVE = "Write it again by `np.savez_compressed`, from arrays of numbers (classes: of text)."
COPY = "Copy the file again from where it was published."
CONVERT = "With Pillow: `Image.open(path).convert('RGB').resize((32, 32)).save(path)`, or 'L' for grey."
TYPES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}

Make = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def npz(**arrays: object) -> Make:
    """An .npz of a training part that is right, but for `arrays`; None leaves a key out."""
    given = {"x_train": TABLE, "y_train": LABELS} | arrays
    wanted = {key: value for key, value in given.items() if value is not None}
    return lambda folder: np.savez_compressed(folder / "data.npz", **wanted)


def zipped(**contents: bytes) -> Make:
    """An .npz whose training part is right, but for the bytes of some arrays."""

    def make(folder: Path) -> None:
        npz()(folder)
        with zipfile.ZipFile(folder / "data.npz") as right:
            members = {name: right.read(name) for name in right.namelist()}
        with zipfile.ZipFile(folder / "data.npz", "w") as changed:
            for name, content in (members | {f"{key}.npy": value for key, value in contents.items()}).items():
                changed.writestr(name, content)

    return make


def encoded(array: np.ndarray, dtype: str = "u1") -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, TYPES[dtype], array.ndim, *array.shape)
    return header + array.astype(dtype).tobytes()


def idx(**contents: bytes) -> Make:
    """IDX files of a training part that is right, but for some contents; `_` stands for `-` in the names."""
    given = {"train_images": encoded(GREY), "train_labels": encoded(LABELS)} | contents
    return lambda folder: [
        (folder / name.replace("_", "-")).write_bytes(content) for name, content in given.items()
    ]


def png(pixels: np.ndarray | Image.Image = GREY[0], form: str = "PNG") -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream := io.BytesIO(), form)
    return stream.getvalue()


def png_of_16_bits() -> bytes:
    """A PNG in 16-bit RGB, which Pillow reads but does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(5 * 6) for _ in range(4)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def images(changes: dict[str, bytes | None] | None = None) -> Make:
    """Two classes of two images, and `changes`: None makes a folder."""
    given: dict[str, bytes | None] = {
        f"train/{name}/{number}.png": png(GREY[number]) for name in ("cat", "dog") for number in (0, 1)
    }

    def make(folder: Path) -> None:
        for name, content in (given | (changes or {})).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if content is None else path.write_bytes(content)

    return make


def file(name: str, content: bytes = b"text") -> Make:
    return lambda folder: (folder / name).write_bytes(content)


def link(name: str) -> Make:
    return lambda folder: (folder / name).symlink_to("gone")


def both(*makes: Make) -> Make:
    return lambda folder: [make(folder) for make in makes]


GONE = (
    "{folder}/%s: expected data, got a link to gone, where there is nothing. "
    "Put the file itself here; what DVC keeps comes back by `dvc pull`."
)
FORMS = (
    "{folder}: expected either one .npz file, or IDX files named *train*images* and *train*labels* (perhaps "
    "also *test* or *t10k* of both), or the folder train/ (perhaps also test/) with a folder for each class; "
    "got %s. Move away what is not of one form; docs/own-task.md shows how a .csv becomes an .npz."
)
KEYS = (
    "{folder}/data.npz: expected the keys x_train, y_train, both or neither of x_test, y_test, and perhaps "
    f"classes; got %s. {SAVE}"
)
NO_PLAIN_ARRAY = f"{{folder}}/data.npz: %s: expected an array, got: <...>. {SAVE}"
INPUTS = (
    "{folder}/%s: expected uint8 or floats, got %s. Convert grey levels from 0 to 255 by `.astype('uint8')`, "
    "other numbers by `.astype('float32')`."
)
SHAPE = (
    "{folder}/data.npz: x_train: expected the shape (n, features), (n, height, width) or (n, height, width, "
    "channels), got %s. Reshape it."
)
CHANNELS = (
    "{folder}/data.npz: x_train: expected the shape (n, height, width, channels), got %s, which looks like "
    "(n, channels, height, width). Write it again by `.transpose(0, 2, 3, 1)`."
)
FINITE = (
    "{folder}/data.npz: %s: expected finite numbers that float32 can hold, got %s. "
    "Replace such numbers, or leave the examples out."
)
EACH = (
    "{folder}/%s: expected a label for each of the 6 examples, the shape (6,) or (6, 1), got %s. "
    "One-hot labels become numbers by `.argmax(axis=1)`."
)
TYPE_OF_LABELS = f"{{folder}}/data.npz: y_train: expected integers from 0 as labels, got %s. {NUMBER}"
PART = (
    "{folder}/%s: expected uint8 examples of shape (4, 5, 1), as in training, got %s. "
    "Make both parts in the same way."
)
ADD = "Add training examples of it, or leave the class out and number the others without a gap."
NAMES = "{folder}/data.npz: classes: expected distinct, printable names of classes, got %s. Rename the class."
HEADER = (
    "{folder}/train-images: expected an IDX header (two zero bytes, a type, 1 to 4 dimensions, their "
    f"lengths, none of them 0), got %s. {COPY}"
)
LENGTH = f"{{folder}}/train-images: expected %s bytes after the header, as it says, got %s. {COPY}"
MODE = f"{{folder}}/train/dog/0.png: expected mode L (grey) or RGB, 8 bits, got %s. {CONVERT}"
DIFFERS = "{folder}/%s: expected 5 x 4 pixels in mode L, as {folder}/train/cat/0.png has, got %s. " + CONVERT
NOT_AN_IMAGE = "{folder}/train/dog/0.png: expected an image, got: <...>. Replace or remove it."

NAN, HUGE, GAP = TABLE.copy(), TABLE.copy(), np.array([0, 1, 3, 3, 1, 0])
NAN[4, 2], HUGE[1, 0] = np.nan, 1e300
LIE = b"\x93NUMPY\1\0\x76\0" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9), }".ljust(
    118
)
DOG = "train/dog/0.png"

BROKEN = {
    # The folder
    "empty": (file(".keep"), FORMS % "an empty folder"),
    "two .npz": (both(npz(), file("more.npz")), FORMS % "data.npz, more.npz"),
    "a text beside the .npz": (both(npz(), file("notes.txt")), FORMS % "data.npz, notes.txt"),
    "two forms": (both(npz(), images()), FORMS % "data.npz, train/"),
    "a table as text": (file("iris.csv"), FORMS % "iris.csv"),
    "a folder named as an .npz": (images({"x.npz": None}), FORMS % "train/, x.npz/"),
    "a third folder": (images({"valid/cat/0.png": png()}), FORMS % "train/, valid/"),
    "only a test folder": (lambda folder: (folder / "test").mkdir(), FORMS % "test/"),
    "a file named train": (file("train"), FORMS % "train"),
    "IDX without labels": (file("train-images-idx3-ubyte"), FORMS % "train-images-idx3-ubyte"),
    "IDX with test images alone": (
        idx(t10k_images=encoded(GREY)),
        FORMS % "t10k-images, train-images, train-labels",
    ),
    "a folder named as an IDX file": (
        lambda folder: [(folder / name).mkdir() for name in ("train-images", "train-labels")],
        FORMS % "train-images/, train-labels/",
    ),
    "IDX twice": (idx(a_train_labels=b""), FORMS % "a-train-labels, train-images, train-labels"),
    "IDX and EMNIST's text": (
        idx(**{"emnist_mapping.txt": b""}),
        FORMS % "emnist-mapping.txt, train-images, train-labels",
    ),
    "a link to an IDX file that is gone": (
        both(idx(), lambda folder: (folder / "train-images").unlink(), link("train-images")),
        GONE % "train-images",
    ),
    "a link to an .npz that is gone": (link("data.npz"), GONE % "data.npz"),
    "a link to an image that is gone": (both(images(), link("train/dog/9.png")), GONE % "train/dog/9.png"),
    # The .npz
    "text as .npz": (
        file("data.npz"),
        f"{{folder}}/data.npz: expected a zip file, as every .npz is, got another one. {SAVE}",
    ),
    "another zip": (
        lambda folder: zipfile.ZipFile(folder / "data.npz", "w").close(),
        KEYS % "none",
    ),
    "keys of one's own": (npz(x_train=None, X=TABLE), KEYS % "X, y_train"),
    "half a test part": (npz(x_test=TABLE), KEYS % "x_test, x_train, y_train"),
    "a key too many": (npz(names=["a"]), KEYS % "names, x_train, y_train"),
    "objects": (npz(x_train=TABLE.astype(object)), NO_PLAIN_ARRAY % "x_train"),
    "class names as objects": (npz(classes=np.array(["a", None])), NO_PLAIN_ARRAY % "classes"),
    "a header that is none": (zipped(x_train=LIE[:30]), NO_PLAIN_ARRAY % "x_train"),
    "a header of terabytes": (zipped(x_train=LIE + bytes(80)), NO_PLAIN_ARRAY % "x_train"),
    "no array": (
        zipped(x_train=b"1 2 3"),
        f"{{folder}}/data.npz: x_train: expected an array, got another file. {SAVE}",
    ),
    # Inputs
    "64-bit integers": (npz(x_train=LABELS[:, None]), INPUTS % ("data.npz: x_train", "int64")),
    "text inputs": (npz(x_train=np.array([["a"]] * 6)), INPUTS % ("data.npz: x_train", "<U1")),
    "complex inputs": (npz(x_train=TABLE + 0j), INPUTS % ("data.npz: x_train", "complex128")),
    "true and false": (npz(x_train=TABLE > 0), INPUTS % ("data.npz: x_train", "bool")),
    "integers in the test part": (
        npz(x_test=TABLE.astype(int), y_test=LABELS),
        INPUTS % ("data.npz: x_test", "int64"),
    ),
    "one dimension": (npz(x_train=TABLE[:, 0]), SHAPE % "(6,)"),
    "no dimension": (npz(x_train=1.0), SHAPE % "()"),
    "films": (npz(x_train=np.zeros((6, 2, 4, 4, 3))), SHAPE % "(6, 2, 4, 4, 3)"),
    "colours in PyTorch's order": (npz(x_train=np.ones((6, 3, 8, 9))), CHANNELS % "(6, 3, 8, 9)"),
    "greys in PyTorch's order": (npz(x_train=np.ones((6, 1, 5, 5), np.uint8)), CHANNELS % "(6, 1, 5, 5)"),
    "no example": (
        npz(x_train=TABLE[:0], y_train=LABELS[:0]),
        "{folder}/data.npz: x_train: expected at least 1 example of at least 1 value, got the shape (0, 3). "
        "Write it again with its data.",
    ),
    "no feature": (
        npz(x_train=TABLE[:, :0]),
        "{folder}/data.npz: x_train: expected at least 1 example of at least 1 value, got the shape (6, 0). "
        "Write it again with its data.",
    ),
    "NaN": (npz(x_train=NAN), FINITE % ("x_train", "nan at (4, 2)")),
    "NaN in the test part": (npz(x_test=NAN, y_test=LABELS), FINITE % ("x_test", "nan at (4, 2)")),
    "infinite": (npz(x_train=np.full((6, 3), -np.inf)), FINITE % ("x_train", "-inf at (0, 0)")),
    "more than float32": (npz(x_train=HUGE), FINITE % ("x_train", "1e+300 at (1, 0)")),
    "another shape to test": (
        npz(x_train=GREY, x_test=GREY[:, 1:], y_test=LABELS),
        PART % ("data.npz: x_test", "uint8 examples of shape (3, 5, 1)"),
    ),
    "another type to test": (
        npz(x_train=GREY, x_test=GREY / 255, y_test=LABELS),
        PART % ("data.npz: x_test", "float32 examples of shape (4, 5, 1)"),
    ),
    # Labels
    "labels as text": (npz(y_train=LABELS.astype(str)), TYPE_OF_LABELS % "<U21"),
    "labels as floats": (npz(y_train=LABELS.astype(float)), TYPE_OF_LABELS % "float64"),
    "one-hot labels": (npz(y_train=np.eye(3, dtype=int)[LABELS]), EACH % ("data.npz: y_train", "(6, 3)")),
    "a label too few": (npz(y_train=LABELS[1:]), EACH % ("data.npz: y_train", "(5,)")),
    "a label too many to test": (
        npz(x_test=TABLE, y_test=np.append(LABELS, 0)),
        EACH % ("data.npz: y_test", "(7,)"),
    ),
    "labels from 1": (
        npz(y_train=LABELS + 1),
        "{folder}/data.npz: y_train: expected labels from 0, got 1 to 3. Subtract 1, in both parts.",
    ),
    "labels from 1 with names": (
        npz(y_train=LABELS + 1, classes=["a", "b", "c"]),
        "{folder}/data.npz: y_train: expected labels from 0, got 1 to 3. Subtract 1, in both parts.",
    ),
    "labels of -1 and 1": (
        npz(y_train=LABELS % 2 * 2 - 1),
        f"{{folder}}/data.npz: y_train: expected labels from 0, got -1. {NUMBER}",
    ),
    "one class": (
        npz(y_train=LABELS * 0),
        "{folder}/data.npz: y_train: expected at least 2 classes, got 1. Add examples of another class.",
    ),
    "a gap": (
        npz(y_train=GAP),
        f"{{folder}}/data.npz: y_train: expected all labels from 0 to 3, got none of 2. {ADD}",
    ),
    "a gap of a million million": (
        npz(y_train=LABELS * 10**12),
        f"{{folder}}/data.npz: y_train: expected all labels from 0 to 2000000000000, got none of 1. {ADD}",
    ),
    "a name without a label": (
        npz(classes=list("abcd")),
        "{folder}/data.npz: y_train: expected all labels from 0 to 3, as there are 4 names in "
        f"{{folder}}/data.npz: classes, got none of 3. {ADD}",
    ),
    "a first name without a label": (
        npz(y_train=LABELS + 1, classes=list("abcd")),
        "{folder}/data.npz: y_train: expected all labels from 0 to 3, as there are 4 names in "
        f"{{folder}}/data.npz: classes, got none of 0. {ADD}",
    ),
    "a label without a name": (
        npz(classes=["a", "b"]),
        "{folder}/data.npz: y_train: expected labels from 0 to 1, as there are 2 names in "
        "{folder}/data.npz: classes, got 2. Name every class.",
    ),
    "a test label that is not in training": (
        npz(x_test=TABLE, y_test=LABELS + 1),
        f"{{folder}}/data.npz: y_test: expected labels from 0 to 2, as in training, got 3. {NUMBER}",
    ),
    "a negative test label": (
        npz(x_test=TABLE, y_test=LABELS - 1),
        f"{{folder}}/data.npz: y_test: expected labels from 0 to 2, as in training, got -1. {NUMBER}",
    ),
    "names as numbers": (
        npz(classes=[1, 2, 3]),
        "{folder}/data.npz: classes: expected a list of names, got int64 of shape (3,). "
        "Write it by `np.array([...], dtype=str)`.",
    ),
    "a table of names": (
        npz(classes=[["a", "b", "c"]]),
        "{folder}/data.npz: classes: expected a list of names, got <U1 of shape (1, 3). "
        "Write it by `np.array([...], dtype=str)`.",
    ),
    "a name twice": (npz(classes=list("aba")), NAMES % "'a' again"),
    "a name of spaces": (npz(classes=["a", " ", "c"]), NAMES % "' '"),
    "a name of two lines": (npz(classes=["a", "b\nc", "d"]), NAMES % "'b\\nc'"),
    # IDX
    "an empty IDX file": (idx(train_images=b""), HEADER % "an empty file"),
    "a page": (idx(train_images=b"<!DOCTYPE html>"), HEADER % "3c 21 44 4f"),
    "an unknown type": (idx(train_images=bytes([0, 0, 10, 1, 0, 0, 0, 1, 5])), HEADER % "00 00 0a 01"),
    "five dimensions": (idx(train_images=encoded(np.zeros((1,) * 5))), HEADER % "00 00 08 05"),
    "no dimension in an IDX file": (idx(train_images=b"\0\0\x08\0\5"), HEADER % "00 00 08 00"),
    "an IDX file that starts otherwise": (
        idx(train_images=b"\1" + encoded(GREY)[1:]),
        HEADER % "01 00 08 03",
    ),
    "half a header": (idx(train_images=encoded(GREY)[:7]), HEADER % "00 00 08 03 00 00 00"),
    "no image": (
        idx(train_images=encoded(GREY[:0])),
        HEADER % "00 00 08 03 00 00 00 00 00 00 00 04 00 00 00 05",
    ),
    "an image too few": (
        idx(train_images=encoded(GREY)[:-20]),
        LENGTH % ("120", "a file of 116"),
    ),
    "a byte too many": (idx(train_images=encoded(GREY) + b"\0"), LENGTH % ("120", "more")),
    "a byte too few, gzipped": (idx(train_images=gzip.compress(encoded(GREY)[:-1])), LENGTH % ("120", "119")),
    "megabytes too many, gzipped": (
        idx(train_images=gzip.compress(encoded(GREY) + bytes(1 << 24))),
        LENGTH % ("120", "more"),
    ),
    "a claim of terabytes": (
        idx(train_images=gzip.compress(b"\0\0\x08\3" + b"\0\0\xff\xff" * 3)),
        LENGTH % ("281,462,092,005,375", "a file of <...>"),
    ),
    "half a gzip file": (
        idx(train_images=gzip.compress(encoded(GREY))[:-12]),
        f"{{folder}}/train-images: expected a whole gzip file, got: <...>. {COPY}",
    ),
    "signed bytes": (idx(train_images=encoded(GREY // 2, "i1")), INPUTS % ("train-images", "int8")),
    "images of 16 bits": (idx(train_images=encoded(GREY, ">i2")), INPUTS % ("train-images", ">i2")),
    "a label file of seven columns": (
        idx(train_labels=encoded(np.zeros((6, 7)), ">i4")),
        EACH % ("train-labels", "(6, 7)"),
    ),
    "images and labels exchanged": (
        idx(train_labels=encoded(GREY), train_images=encoded(LABELS)),
        "{folder}/train-images: expected the shape (n, features), (n, height, width) or (n, height, width, "
        "channels), got (6,). Reshape it.",
    ),
    "letters of EMNIST": (
        idx(train_labels=encoded(LABELS + 1)),
        "{folder}/train-labels: expected labels from 0, got 1 to 3. Subtract 1, in both parts.",
    ),
    # Folders of images
    "no class": (
        lambda folder: (folder / "train").mkdir(),
        "{folder}/train: expected a folder of images for each class, got none. Add them.",
    ),
    "an empty test folder": (
        images({"test": None}),
        "{folder}/test: expected a folder of images for each class, got none. Add them.",
    ),
    "an image without a class": (
        images({"train/0.png": png()}),
        "{folder}/train/0.png: expected a folder of one class's images, got a file. Move it away.",
    ),
    "an empty class": (
        images({"train/eel": None}),
        "{folder}/train/eel: expected images of one class, got an empty folder. Remove it.",
    ),
    "one class of images": (
        lambda folder: (
            (folder / "train" / "cat").mkdir(parents=True) or file("train/cat/0.png", png())(folder)
        ),
        "{folder}/train: expected at least 2 classes, got 1. Add examples of another class.",
    ),
    "a class only to test": (
        images({"test/eel/0.png": png()}),
        "{folder}/test/eel: expected a class that train/ has as well, got one without a training image. "
        "Add some to train/, or remove the folder.",
    ),
    "a stray file": (
        images({"train/cat/Thumbs.db": b""}),
        "{folder}/train/cat/Thumbs.db: expected a .png, .jpg or .jpeg file, got another file. Move it away.",
    ),
    "a subfolder": (
        images({"train/cat/more.png": None}),
        "{folder}/train/cat/more.png: expected a .png, .jpg or .jpeg file, got a folder. Move it away.",
    ),
    "text as an image": (images({DOG: b"text"}), NOT_AN_IMAGE),
    "another format under the name": (images({DOG: png(form="GIF")}), NOT_AN_IMAGE),
    "half an image": (images({DOG: png(np.repeat(GREY[0], 99, 0))[:-900]}), NOT_AN_IMAGE),
    "a palette": (images({DOG: png(Image.new("P", (5, 4)))}), MODE % "P"),
    "transparency": (images({DOG: png(Image.new("RGBA", (5, 4)))}), MODE % "RGBA"),
    "black and white": (images({DOG: png(Image.new("1", (5, 4)))}), MODE % "1"),
    "16 bits of grey": (images({DOG: png(Image.new("I;16", (5, 4)))}), MODE % "I;16"),
    "16 bits of colour": (images({DOG: png_of_16_bits()}), MODE % "RGB;16B"),
    "colours of print": (images({DOG: png(Image.new("CMYK", (5, 4)), "JPEG")}), MODE % "CMYK"),
    "another size": (images({DOG: png(GREY[0, 1:])}), DIFFERS % (DOG, "5 x 3 pixels in mode L")),
    "another mode": (
        images({DOG: png(Image.new("RGB", (5, 4)))}),
        DIFFERS % (DOG, "5 x 4 pixels in mode RGB"),
    ),
    "another size to test": (
        images({"test/dog/7.png": png(GREY[0].T)}),
        DIFFERS % ("test/dog/7.png", "4 x 5 pixels in mode L"),
    ),
}


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        own.read(folder)
    return str(caught.value)


@pytest.mark.parametrize(("make", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_data_get_a_line_that_says_what_to_do(folder: Path, make: Make, expected: str) -> None:
    make(folder)

    pattern = re.escape(expected.format(folder=folder)).replace(re.escape("<...>"), ".+")
    assert re.fullmatch(pattern, refused(folder))


def test_a_folder_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    assert refused(tmp_path / "own") == (
        f"{tmp_path / 'own'}: expected a folder with your data, got none. "
        "Make it, and put an .npz file, IDX files or folders of images into it."
    )


@pytest.mark.parametrize("make", [npz(x_train=GREY), idx(), images()], ids=["npz", "idx", "images"])
def test_a_damaged_byte_or_end_is_the_same_data_or_a_data_error(folder: Path, make: Make) -> None:
    make(folder)
    right, path = own.read(folder), next(path for path in sorted(folder.rglob("*")) if path.is_file())
    content, refusals = path.read_bytes(), 0
    header = 16 if path.name == "train-images" else len(content)  # an IDX file has no checksum
    for position in range(0, header, 3):
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        for damaged in (bytes(flipped), content[:position]):
            path.write_bytes(damaged)
            try:
                data = own.read(folder)
            except DataError:
                refusals += 1
            else:
                np.testing.assert_array_equal(data.train.inputs, right.train.inputs)
    assert refusals > header // 6


def test_an_npz_of_images_comes_out_as_it_is_with_an_axis_for_the_channel(folder: Path) -> None:
    npz(
        x_train=GREY, y_train=LABELS.astype(np.uint8)[:, None], x_test=GREY[:2], y_test=LABELS[:2],
        classes=["ant", "bee", "cat"],
    )(folder)  # fmt: skip

    data = own.read(folder)

    assert data.train.inputs.dtype == np.uint8
    np.testing.assert_array_equal(data.train.inputs, GREY[..., None])
    assert data.train.labels.dtype == np.int64
    np.testing.assert_array_equal(data.train.labels, LABELS)
    assert data.test is not None
    np.testing.assert_array_equal(data.test.inputs, GREY[:2, ..., None])
    np.testing.assert_array_equal(data.test.labels, [0, 1])
    assert data.classes == ("ant", "bee", "cat")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "longdouble"])
def test_floats_of_any_precision_and_order_become_float32(folder: Path, dtype: str) -> None:
    table = np.asfortranarray(TABLE.astype(dtype))
    npz(x_train=table)(folder)

    data = own.read(folder)

    assert data.train.inputs.dtype == np.dtype("=f4")
    assert data.train.inputs.flags.c_contiguous
    np.testing.assert_array_equal(data.train.inputs, table.astype(np.float32))
    assert data.test is None
    assert data.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("given", "expected"), [((6, 7), (6, 7)), ((6, 4, 4), (6, 4, 4, 1)), ((6, 4, 4, 2), (6, 4, 4, 2))]
)
def test_floats_of_three_dimensions_are_grey_images(
    folder: Path, given: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    npz(x_train=np.ones(given))(folder)

    assert own.read(folder).train.inputs.shape == expected


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 1, 9, 3), (6, 3, 9, 1), (6, 2, 9, 9), (6, 8, 9, 3)])
def test_images_of_few_rows_are_not_taken_for_pytorch_s(folder: Path, shape: tuple[int, ...]) -> None:
    npz(x_train=np.ones(shape))(folder)

    assert own.read(folder).train.inputs.shape == shape


def as_it_is(content: bytes) -> bytes:
    return content


QMNIST = np.column_stack([LABELS, np.full((6, 7), 99)])


@pytest.mark.parametrize(
    ("names", "labels", "packed"),
    [
        ("{}-images-idx3-ubyte.gz {}-labels-idx1-ubyte.gz t10k", encoded(LABELS), gzip.compress),
        ("{}-images.idx3-ubyte {}-labels.idx1-ubyte t10k", encoded(LABELS), as_it_is),
        (
            "qmnist-{}-images-idx3-ubyte.gz qmnist-{}-labels-idx2-int.gz test",
            encoded(QMNIST, ">i4"),
            gzip.compress,
        ),
        (
            "emnist-balanced-{}-images-idx3-ubyte.gz emnist-balanced-{}-labels-idx1-ubyte.gz test",
            encoded(LABELS),
            gzip.compress,
        ),
        ("{}-images {}-labels latest-test", encoded(LABELS, ">i2"), as_it_is),
    ],
    ids=["Fashion-MNIST", "MNIST unpacked", "QMNIST", "EMNIST", "a name of one's own"],
)
def test_idx_files_are_read_whatever_their_prefix(
    folder: Path, names: str, labels: bytes, packed: Callable[[bytes], bytes]
) -> None:
    image_name, label_name, test_name = names.split()
    for part, pixels in (("train", GREY), (test_name, GREY[::-1])):
        (folder / image_name.format(part)).write_bytes(packed(encoded(pixels)))
        (folder / label_name.format(part)).write_bytes(packed(labels))

    data = own.read(folder)

    np.testing.assert_array_equal(data.train.inputs, GREY[..., None])
    np.testing.assert_array_equal(data.train.labels, LABELS)
    assert data.test is not None
    np.testing.assert_array_equal(data.test.inputs, GREY[::-1, ..., None])
    np.testing.assert_array_equal(data.test.labels, LABELS)
    assert data.classes == ("0", "1", "2")


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_idx_files_may_hold_a_table_of_floats_and_no_test_part(folder: Path, dtype: str) -> None:
    idx(train_images=encoded(TABLE, dtype))(folder)

    data = own.read(folder)

    assert data.train.inputs.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(data.train.inputs, TABLE.astype(np.float32))
    assert data.test is None


@pytest.mark.parametrize("reverse", [False, True])
def test_folders_of_grey_images_are_read_in_the_order_of_their_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reverse: bool
) -> None:
    listed = Path.iterdir  # in an order that depends on the file system
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(listed(path), reverse=reverse)))
    images(
        {
            "train/dog/10.PNG": png(GREY[2]),
            "train/Eel/a.png": png(GREY[3]),
            "test/dog/0.png": png(GREY[4]),
            **dict.fromkeys(
                ["README.md", "train/README.md", "train/cat/.DS_Store", ".gitignore", "train.dvc"], b"no data"
            ),
        }
    )(folder)

    data = own.read(folder)

    assert data.classes == ("Eel", "cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(data.train.inputs, GREY[[3, 0, 1, 0, 1, 2], ..., None])
    assert data.test is not None
    assert data.test.labels.tolist() == [2]
    np.testing.assert_array_equal(data.test.inputs, GREY[[4], ..., None])


def test_a_folder_of_a_class_may_have_any_name_that_does_not_hide_it(folder: Path) -> None:
    names = ("README.md", "c.dvc", "v1.0", ".ipynb_checkpoints")
    images({f"train/{name}/0.png": png() for name in names})(folder)

    assert own.read(folder).classes == ("README.md", "c.dvc", "cat", "dog", "v1.0")


def test_a_csv_becomes_a_data_set_as_the_page_says(folder: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs/own-task.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(table = .*?)```", page, re.DOTALL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/own").symlink_to(folder)
    (tmp_path / "iris.csv").write_text("width,length,kind\n1.5,2,setosa\n3,-4e1,iris virginica\n5,6,setosa\n")
    command = [sys.executable, "-c", f"import numpy as np\n{program}"]

    subprocess.run(command, cwd=tmp_path, check=True)

    data = own.read(folder)
    assert data.train.inputs.tolist() == [[1.5, 2], [3, -40], [5, 6]]
    assert data.classes == ("iris virginica", "setosa")
    assert data.train.labels.tolist() == [1, 0, 1]


def test_folders_of_colour_images_keep_three_channels(folder: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    smooth = np.full((8, 9, 3), (10, 100, 200), np.uint8)
    contents = {"a/1.png": png(pixels[0]), "b/1.png": png(pixels[1]), "b/2.jpg": png(smooth, "JPEG")}
    for name, content in contents.items():
        (folder / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "train" / name).write_bytes(content)

    data = own.read(folder)

    assert data.train.inputs.dtype == np.uint8
    np.testing.assert_array_equal(data.train.inputs[:2], pixels)
    assert np.abs(data.train.inputs[2].astype(int) - smooth).max() <= 3  # as JPEG keeps it
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.test is None


@pytest.mark.parametrize("test", [True, False])
def test_the_normal_form_is_loaded_as_it_was_written(tmp_path: Path, test: bool) -> None:
    train = own.RawExamples(GREY[..., None], LABELS)
    data = own.OwnData(
        train, own.RawExamples(GREY[:2, ..., None], LABELS[:2]) if test else None, ("a", "ü", "c")
    )

    own.write(tmp_path / "raw", data)
    loaded = own.load(tmp_path / "raw")

    assert loaded.classes == data.classes
    assert (loaded.test is not None) is test
    for part, expected in ((loaded.train, data.train), (loaded.test, data.test)):
        for array, wanted in zip(part or (), expected or (), strict=True):
            assert array.dtype == wanted.dtype
            np.testing.assert_array_equal(array, wanted)


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_of_other_data(tmp_path: Path) -> None:
    train = own.RawExamples(TABLE.astype(np.float32), LABELS)
    alone, with_test = (own.OwnData(train, test, ("0", "1", "2")) for test in (None, train))
    own.write(tmp_path / "first", alone)
    own.write(tmp_path / "second", with_test)
    (tmp_path / "second" / "train-images-idx3-ubyte.gz").touch()

    own.write(tmp_path / "second", alone)

    assert files.sha256(tmp_path / "first") == files.sha256(tmp_path / "second")
    assert own.load(tmp_path / "second").test is None


def test_the_normal_form_is_never_read_by_a_pickle(tmp_path: Path) -> None:
    own.write(tmp_path, own.OwnData(own.RawExamples(TABLE, LABELS), None, ("0", "1", "2")))
    np.save(tmp_path / "train_inputs.npy", TABLE.astype(object))

    with pytest.raises(DataError, match=r"train_inputs\.npy: expected a \.npy array, got: .*Python objects"):
        own.load(tmp_path)


@pytest.mark.parametrize("name", ["train_inputs.npy", "train_labels.npy", "test_labels.npy", "classes.json"])
def test_a_missing_file_of_the_normal_form_is_named(tmp_path: Path, name: str) -> None:
    part = own.RawExamples(TABLE, LABELS)
    own.write(tmp_path, own.OwnData(part, part, ("0", "1", "2")))
    (tmp_path / name).unlink()

    with pytest.raises(DataError, match=rf"{name}: expected .* Run `dvc repro` to make it again\.$"):
        own.load(tmp_path)
