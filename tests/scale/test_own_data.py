"""Data of one's own from `data/own` to scaled arrays, in each form; what is fitted and what is split off."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core import task
from pipeline.core.errors import DataError
from pipeline.core.task import AS_THEY_ARE, GREY_LEVELS, Task
from pipeline.download import raw_files
from pipeline.download.stage import download
from pipeline.scale.stage import scale
from tests.download.conftest import working_folder

OWN = Path("data/own")
NOISE = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [40, 20, 10])
TABLE = NOISE.normal((3, -50, 0), (1, 20, 0.1), (70, 3)).astype(np.float32)
GREY = NOISE.integers(0, 256, (70, 5, 4), np.uint8)
COLOUR = NOISE.integers(0, 256, (70, 6, 4, 3), np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    working_folder(tmp_path, monkeypatch, dataset="own", validation_size=7)
    (tmp_path / "params.yaml").write_text(
        (tmp_path / "params.yaml").read_text().replace("batch_size: 1024", "batch_size: 8")
    )
    OWN.mkdir(parents=True)
    return tmp_path


def scaled() -> dict[str, np.ndarray]:
    """Run both stages; give the arrays they lead to."""
    download(Path("raw"))
    scale(Path("raw"), Path("scaled"))
    return {file.stem: np.load(file) for file in sorted(Path("scaled").glob("*.npy"))}


def rows(*inputs: np.ndarray) -> list[bytes]:
    return sorted(row.tobytes() for part in inputs for row in part)


def write_images(part: str, images: np.ndarray, labels: np.ndarray) -> None:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = OWN / part / "abc"[label] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_an_npz_of_floats_without_a_test_part_gives_a_fifth_of_each_class_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=LABELS, classes=np.array(["red", "green", "blue"]))

    written = scaled()

    assert written["test_labels"].sum(axis=0).tolist() == [8, 4, 2]
    assert written["validation_labels"].sum(axis=0).tolist() == [4, 2, 1]
    assert written["train_labels"].sum(axis=0).tolist() == [28, 14, 7]
    inputs = [written[f"{part}_inputs"] for part in ("train", "validation", "test")]
    assert rows(*inputs) == rows(TABLE)
    sizes = {"train": 49, "validation": 7, "test": 14}
    assert task.read(Path("scaled")) == Task("own", (3,), ("red", "green", "blue"), AS_THEY_ARE, sizes)
    assert capsys.readouterr().out == (
        "download: 70 training examples from data/own, checked, written to raw\n"
        "scale: own: 49 train, 7 validation, 14 test examples of 3 in 3 classes, written to scaled\n"
    )


def test_the_test_part_that_is_split_off_does_not_depend_on_the_order_or_on_what_is_held_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=LABELS)
    before = scaled()["test_inputs"]
    order = np.random.default_rng(1).permutation(70)
    np.savez(OWN / "data.npz", x_train=TABLE[order], y_train=LABELS[order])
    assert rows(scaled()["test_inputs"]) == rows(before)
    working_folder(folder, monkeypatch, dataset="own", validation_size=0)
    assert rows(scaled()["test_inputs"]) == rows(before)


def test_standardisation_is_fitted_on_the_training_part_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working_folder(folder, monkeypatch, dataset="own", validation_size=7, standardise=True)
    table = np.column_stack([TABLE, np.full(70, 0.1, np.float32)])
    far = np.float32([[1e4, 1e4, 1e4, 0.2]])
    np.savez(OWN / "data.npz", x_train=table, y_train=LABELS, x_test=far, y_test=[0])

    written = scaled()

    found = task.read(Path("scaled")).scaling
    raw = written["train_inputs"] * np.float32(found.deviation) + np.float32(found.mean)
    assert len(raw) == 63
    assert written["train_inputs"].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-5)
    assert written["train_inputs"].std(axis=0) == pytest.approx([1, 1, 1, 0], abs=1e-5)
    assert abs(written["validation_inputs"].mean(axis=0)[:3]).max() > 1e-3  # nobody fitted these
    assert found.mean == pytest.approx(raw.mean(axis=0), rel=1e-4)
    assert found.deviation[3] == 1  # constant: shifted alone
    expected = (far - np.float32(found.mean)) / np.float32(found.deviation)
    assert np.array_equal(written["test_inputs"], expected)
    assert not found.levels


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_idx_files_with_a_test_part_keep_it(compress) -> None:
    numbers = np.roll(LABELS, 1).astype(np.uint8)
    for name, part in (("train", slice(14, 70)), ("t10k", slice(0, 14))):
        (OWN / f"{name}-images-idx3-ubyte").write_bytes(compress(raw_files.encode(GREY[part])))
        (OWN / f"{name}-labels-idx1-ubyte").write_bytes(compress(raw_files.encode(numbers[part])))

    written = scaled()

    assert np.array_equal(written["test_inputs"], GREY[:14, ..., None] / np.float32(255))
    assert np.array_equal(written["test_labels"].argmax(axis=1), numbers[:14])
    both = rows(written["train_inputs"], written["validation_inputs"])
    assert both == rows(GREY[14:, ..., None] / np.float32(255))
    sizes = {"train": 49, "validation": 7, "test": 14}
    assert task.read(Path("scaled")) == Task("own", (5, 4, 1), ("0", "1", "2"), GREY_LEVELS, sizes)


def test_folders_of_colour_images_keep_channels_and_names() -> None:
    write_images("train", COLOUR, LABELS)
    write_images("test", COLOUR[::10], LABELS[::10])

    written = scaled()

    found = task.read(Path("scaled"))
    assert (found.shape, found.classes, found.scaling) == ((6, 4, 3), ("a", "b", "c"), GREY_LEVELS)
    assert found.example == "image"
    assert found.blind_loss == pytest.approx(np.log(3))
    assert rows(written["test_inputs"]) == rows(COLOUR[::10] / np.float32(255))
    both = rows(written["train_inputs"], written["validation_inputs"])
    assert both == rows(COLOUR / np.float32(255))


def test_the_same_data_give_the_same_bytes_and_less_replaces_more() -> None:
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=LABELS, x_test=TABLE[:5], y_test=LABELS[:5])
    first = scaled()
    again = {file.name: file.read_bytes() for file in Path("scaled").iterdir()}
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=LABELS)
    assert len(scaled()["test_inputs"]) == 14
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=LABELS, x_test=TABLE[:5], y_test=LABELS[:5])
    assert len(scaled()["test_inputs"]) == len(first["test_inputs"]) == 5
    assert {file.name: file.read_bytes() for file in Path("scaled").iterdir()} == again


REFUSED = {
    "a class too small for a test part": (
        np.repeat([0, 1], [68, 2]),
        7,
        "expected examples of every class on both sides of the split, got none of class 1 on one side with "
        "14 of 70 examples held out. A fifth becomes the test part, as there is none: add one, or examples "
        "of that class.",
    ),
    "more held out than there is": (
        LABELS,
        57,
        "expected 0 to 56 examples to hold out, got 57. Change data.validation_size in params.yaml.",
    ),
    "too few held out": (
        LABELS,
        2,
        "expected examples of every class on both sides of the split, got none of class 2 on one side with "
        "2 of 56 examples held out. Change data.validation_size in params.yaml.",
    ),
}


@pytest.mark.parametrize(("labels", "held_out", "said"), REFUSED.values(), ids=REFUSED)
def test_a_split_that_leaves_a_class_out_is_refused_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, labels: np.ndarray, held_out: int, said: str
) -> None:
    working_folder(folder, monkeypatch, dataset="own", validation_size=held_out)
    np.savez(OWN / "data.npz", x_train=TABLE, y_train=labels)
    with pytest.raises(DataError) as caught:
        scaled()
    assert str(caught.value) == said
    assert not Path("scaled").exists()


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"scaling": 1}', '{"dataset": "own", "scaling": null}', "{"]
)
def test_a_damaged_task_is_an_error(folder: Path, content: str) -> None:
    (folder / task.FILE).write_text(content)
    with pytest.raises(DataError, match=r"task\.json: expected .*\. Run `dvc repro` to make it again\.$"):
        task.read(folder)
