"""MLflow in tests: its tables are made once and copied, which takes milliseconds instead of seconds.

A plugin (see `pytest_plugins` in tests/conftest.py), since tests of several folders use these fixtures.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # at run time where it is used: this module is loaded for every test
    from pipeline.tracking.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's database with tables and nothing of ours in it."""
    from pipeline.tracking.store import open_store
    from tests.conftest import made_once

    def make(folder: Path) -> None:
        before = dict(os.environ)
        folder.mkdir()
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'empty.db'}"
        try:
            open_store("digits")
        finally:
            os.environ.clear()
            os.environ.update(before)

    with warnings.catch_warnings():  # what MLflow's own imports complain about is not ours
        warnings.simplefilter("ignore")
        import mlflow.pyfunc  # noqa: F401

        return made_once(tmp_path_factory, "mlflow", make) / "empty.db"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Path:
    """A study's folder, the current one, with a store; nothing has been trained.

    Charts are drawn for real by the processes that tests start; in this one they would take most of the time.
    """
    from pipeline.tracking import chart
    from tests.tracking import studies

    monkeypatch.setattr(chart, "draw", lambda path, _history, title: path.write_text(title))
    folder = tmp_path / "study"
    studies.make_study(folder)
    monkeypatch.chdir(folder)
    studies.make_database(empty_database, folder)
    return folder


@pytest.fixture
def store(study: Path) -> "Iterator[Store]":  # noqa: ARG001 - it makes the store
    """The study's store."""
    from pipeline.tracking.store import open_store

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield open_store("digits")
