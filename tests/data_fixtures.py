"""What the tests of the data stages share: a folder with params.yaml, small parts, the real files if any."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.datasets import SIDE, TEST_IMAGES, TEST_LABELS, File, Part, Published
from pipeline.download import idx
from pipeline.params import reading

ROOT = Path(__file__).resolve().parents[1]
MNIST_FOLDER = ROOT.parent / "shared" / "mnist"

needs_mnist = pytest.mark.skipif(not MNIST_FOLDER.is_dir(), reason=f"{MNIST_FOLDER} is not there")


def workplace(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Path:
    """A folder to run a stage in: the repository's params.yaml with other values for some `data` keys."""
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    reading.override(folder / "params.yaml", {f"data.{key}": value for key, value in changes.items()})
    monkeypatch.chdir(folder)
    return folder


def small_part(count: int = 40) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Part]:
    """Random images of every class, and the facts that describe them."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    part = Part(
        File(TEST_IMAGES, idx.digest(images)),
        File(TEST_LABELS, idx.digest(labels)),
        tuple(np.bincount(labels, minlength=10).tolist()),
    )
    return images, labels, part


def published(name: str, content: bytes) -> File:
    """The facts about a file that consists of `content`."""
    return File(name, "", Published(len(content), hashlib.sha256(content).hexdigest()))
