"""MLflow in tests: its tables are made once and copied, which takes milliseconds instead of seconds."""

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.tracking import chart
from pipeline.tracking.store import Store, open_store
from tests import tracking_fixtures as fixtures
from tests.conftest import made_once


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store's database with tables and nothing of ours in it."""

    def make(place: Path) -> None:
        before = dict(os.environ)
        place.mkdir()
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'empty.db'}"
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
    monkeypatch.setattr(chart, "draw", lambda path, _history, title: path.write_text(title))
    place = tmp_path / "study"
    fixtures.make_study(place)
    monkeypatch.chdir(place)
    make_database(empty_database, place)
    return place


def make_database(empty: Path, place: Path, name: str = "mlflow.db") -> None:
    """Have a store at `place` whose experiment keeps its files there."""
    import sqlite3

    shutil.copyfile(empty, place / name)
    connection = sqlite3.connect(place / name)
    with connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'learning-rate-study-digits'",
            ((place / "mlartifacts").as_uri(),),
        )
    connection.close()


@pytest.fixture
def store(study: Path) -> Iterator[Store]:  # noqa: ARG001 - it makes the store
    """The study's store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield open_store("digits")
