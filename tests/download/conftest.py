"""What the tests of the data stages share: a folder to run a stage in, and MNIST's files where they are."""

import shutil
from pathlib import Path

import pytest

from pipeline.params import reading
from tests.conftest import ROOT

MNIST_FOLDER = ROOT.parent / "shared" / "mnist"

needs_mnist = pytest.mark.skipif(not MNIST_FOLDER.is_dir(), reason=f"{MNIST_FOLDER} is not there")


def working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Path:
    """Go to a folder with the repository's params.yaml, in which some `data` keys have other values."""
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    reading.override(folder / "params.yaml", {f"data.{key}": value for key, value in changes.items()})
    monkeypatch.chdir(folder)
    return folder
