"""Stage `scale`: six arrays and the task, the same bytes from the same input, nothing from wrong input."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import task
from pipeline.core.datasets import DIGITS, TRAIN_IMAGES, TRAIN_LABELS
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.task import GREY_LEVELS, Task
from pipeline.download import digits, raw_files
from pipeline.scale.stage import scale
from tests.download.conftest import MNIST_FOLDER, needs_mnist, working_folder

NAMES = {f"{part}_{what}.npy" for part in ("train", "validation", "test") for what in ("inputs", "labels")}


@pytest.fixture(scope="session")
def digits_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("digits") / "raw"
    digits.write(raw)
    return raw


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits_raw: Path) -> Path:
    """A folder with params.yaml for digits and the raw files, writable."""
    working_folder(tmp_path, monkeypatch, dataset="digits", validation_size=300)
    (tmp_path / "raw").mkdir()
    for file in digits_raw.iterdir():
        (tmp_path / "raw" / file.name).write_bytes(file.read_bytes())
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: np.load(file, allow_pickle=False) for file in folder.glob("*.npy")}


def test_every_image_is_in_one_of_six_arrays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale(Path("raw"), Path("scaled"))

    written = arrays(folder / "scaled")
    assert set(written) == NAMES
    assert {array.dtype for array in written.values()} == {np.dtype(np.float32)}
    assert {name: array.shape for name, array in written.items()} == {
        "train_inputs.npy": (1200, 28, 28, 1),
        "train_labels.npy": (1200, 10),
        "validation_inputs.npy": (300, 28, 28, 1),
        "validation_labels.npy": (300, 10),
        "test_inputs.npy": (297, 28, 28, 1),
        "test_labels.npy": (297, 10),
    }
    raw, labels = raw_files.read(folder / "raw", DIGITS.train)
    wanted = sorted((bytes(image), int(label)) for image, label in zip(raw, labels, strict=True))
    got = [
        (np.rint(row * 255).astype(np.uint8).tobytes(), int(label.argmax()))
        for part in ("train", "validation")
        for row, label in zip(written[f"{part}_inputs.npy"], written[f"{part}_labels.npy"], strict=True)
    ]
    assert sorted(got) == wanted
    assert capsys.readouterr().out == (
        "scale: digits: 1,200 train, 300 validation, 297 test images of 28 x 28 x 1 in 10 classes, "
        "written to scaled\n"
    )
    sizes = {"train": 1200, "validation": 300, "test": 297}
    wanted_task = Task("digits", (28, 28, 1), tuple("0123456789"), GREY_LEVELS, sizes)
    assert task.read(folder / "scaled") == wanted_task


def test_the_images_held_out_have_every_class_in_proportion(folder: Path) -> None:
    scale(Path("raw"), Path("scaled"))

    held_out = np.load(folder / "scaled" / "validation_labels.npy").sum(axis=0)
    assert (np.abs(held_out - np.array(DIGITS.train.class_counts) / 5) < 1).all()


def test_the_same_input_gives_the_same_bytes_and_replaces_what_was_there(folder: Path) -> None:
    scale(Path("raw"), Path("first"))
    (folder / "second").mkdir()
    (folder / "second" / "left_over.npy").write_bytes(b"old")
    scale(Path("raw"), Path("second"))

    assert contents(folder / "first") == contents(folder / "second")


def test_nothing_held_out_leaves_empty_arrays_of_the_same_form(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working_folder(folder, monkeypatch, dataset="digits", validation_size=0)

    scale(Path("raw"), Path("scaled"))

    written = arrays(folder / "scaled")
    assert written["validation_inputs.npy"].shape == (0, 28, 28, 1)
    assert written["validation_labels.npy"].shape == (0, 10)
    assert written["train_inputs.npy"].shape == (1500, 28, 28, 1)


def _truncate(raw: Path) -> None:
    path = raw / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-100])


def _tamper(raw: Path) -> None:
    labels = raw_files.read(raw, DIGITS.train)[1].copy()
    labels[:2] = labels[1::-1]
    (raw / TRAIN_LABELS).write_bytes(gzip.compress(raw_files.encode(labels)))


def _swap(raw: Path) -> None:
    (raw / TRAIN_LABELS).write_bytes((raw / TRAIN_IMAGES).read_bytes())


WRONG = [
    (lambda raw: (raw / TRAIN_IMAGES).unlink(), f"{TRAIN_IMAGES}: expected an IDX file, found none."),
    (_truncate, f"{TRAIN_IMAGES}: expected a whole gzip file, got: Compressed file ended before"),
    (
        lambda raw: (raw / TRAIN_LABELS).write_text("<html>"),
        f"{TRAIN_LABELS}: expected a whole gzip file, got: Not a gzipped file",
    ),
    (_swap, f"{TRAIN_LABELS}: expected it to unpack to the SHA-256"),
    (_tamper, f"{TRAIN_LABELS}: expected it to unpack to the SHA-256"),
]


@pytest.mark.parametrize(("damage", "said"), WRONG, ids=["missing", "cut", "html", "swapped", "tampered"])
def test_wrong_raw_files_give_an_error_and_leave_the_arrays_alone(folder: Path, damage, said: str) -> None:
    scale(Path("raw"), Path("scaled"))
    before = contents(folder / "scaled")
    damage(folder / "raw")

    with pytest.raises(DataError) as caught:
        scale(Path("raw"), Path("scaled"))

    assert said in str(caught.value)
    assert "`dvc repro`" in str(caught.value)
    assert contents(folder / "scaled") == before
    assert {entry.name for entry in folder.iterdir()} == {"params.yaml", "raw", "scaled"}


def test_the_files_of_another_data_set_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working_folder(folder, monkeypatch, dataset="mnist")

    with pytest.raises(DataError, match=r"images-.*: expected it to unpack to the SHA-256 ba89.*, got b331"):
        scale(Path("raw"), Path("scaled"))


def test_params_are_checked_before_any_file_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working_folder(folder, monkeypatch, dataset="digits", validation_size=5)

    with pytest.raises(ParamsError, match="expected 0, or 10 to 1,490"):
        scale(Path("nowhere"), Path("scaled"))


@needs_mnist
def test_mnist_is_scaled_to_the_default_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    working_folder(tmp_path, monkeypatch)

    scale(MNIST_FOLDER, Path("scaled"))

    images = np.load(tmp_path / "scaled" / "train_inputs.npy", mmap_mode="r")
    validation = np.load(tmp_path / "scaled" / "validation_inputs.npy")
    assert images.shape == (55_000, 28, 28, 1)
    assert np.load(tmp_path / "scaled" / "validation_labels.npy").sum(axis=0).tolist() == [
        494, 562, 496, 511, 487, 452, 493, 522, 487, 496,
    ]  # fmt: skip
    lit = ((images > 0).mean() * 55 + (validation > 0).mean() * 5) / 60
    assert lit == pytest.approx(0.191, abs=0.0005)  # of all training pixels, as published
    assert len({row.tobytes() for row in images[:5000]} & {row.tobytes() for row in validation}) == 0
