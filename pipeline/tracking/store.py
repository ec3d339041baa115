"""The connection: sets MLflow up, opens the store and creates what is not there yet."""

# ruff: noqa: TID251 - the package that imports MLflow

import contextlib
import itertools
import logging
import os
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.core import files
from pipeline.core.errors import PipelineError, ToolError, without_login
from pipeline.tracking import address

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # the model's requirements are given, not guessed
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow reads these when it is imported; nothing here calls home or guesses."""

_REQUESTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Unless the user has set them: how often a request is repeated, and after how many seconds."""

_NOTE = (
    "A view of the outputs of `dvc repro`, which are the truth: `python -m pipeline publish` makes it again. "
    "A run that was followed has its training's times; one tagged `rebuilt` has made-up ones."
)


@dataclass(frozen=True)
class Store:
    """An open store, and the data set's experiment in it."""

    client: Any  # an `mlflow.MlflowClient`
    experiment_id: str  # empty if there is none

    def find(self, run_key: str) -> list[Any]:
        """List all runs with the run key that are not deleted."""
        return self._search(f"tags.run_key = '{run_key}'")

    def index(self) -> dict[str, list[Any]]:
        """List all runs of the experiment that have a run key, by key; one request per thousand runs."""
        runs = defaultdict(list)
        for run in self._search(""):
            if key := run.data.tags.get("run_key"):
                runs[key].append(run)
        return runs

    def _search(self, condition: str) -> list[Any]:
        from mlflow.utils import get_results_from_paginated_fn

        def page(size: int, token: str | None) -> Any:
            return self.client.search_runs(experiments, condition, max_results=size, page_token=token)

        experiments = [self.experiment_id]
        return list(get_results_from_paginated_fn(page, 1000)) if self.experiment_id else []


def open_store(dataset: str, *, create: bool = True) -> Store:
    """Connect to the store that `MLFLOW_TRACKING_URI` names, or to the repository's.

    Args:
        create: whether to create tables and experiment where there are none.

    Raises:
        ToolError: MLflow is not installed, or the store does not answer or refuses.
    """
    uri, name = address.tracking_uri(), address.experiment(dataset)
    path, lock = address.database(uri), address.lock(uri)
    if uri.startswith("sqlite") and (not path or path.name == ":memory:"):
        raise ToolError(
            f"MLFLOW_TRACKING_URI: expected a store that lasts, got {uri}, which is in memory. Name a file, "
            "such as sqlite:///mlflow.db."
        )
    os.environ |= _REQUESTS | os.environ | SETTINGS
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with explained(uri):
        from mlflow import MlflowClient

        if not create:
            there = not path or path.exists()
            if path and _is_of_another_folder(path, name):
                _announced_aside(path)
                there = False
            client = MlflowClient(uri, uri) if there else None
            experiment = client and client.get_experiment_by_name(name)
            return Store(client, experiment.experiment_id if experiment else "")
        if address.is_server(uri):
            return _connect(MlflowClient(uri, uri), name, None)
        # Processes that create a database's tables at the same time break each other.
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # fails at once where nobody can write; the lock would wait for its turn instead
        with FileLock(lock, timeout=60):
            if path and _is_of_another_folder(path, name):
                path.replace(_announced_aside(path))
            if path and not path.exists():
                # Renamed when it is whole: MLflow cannot go on with tables that a full disk left half-made.
                with files.replacing(path) as new:
                    MlflowClient(*[address.sqlite(new)] * 2).search_experiments(max_results=1)
            # A store without a server keeps its files where the experiment says, for good: never the current
            # folder, which may be a copy that DVC throws away.
            return _connect(MlflowClient(uri, uri), name, address.artifacts().as_uri())


def _is_of_another_folder(path: Path, experiment: str) -> bool:
    """Decide whether a store in the repository came with a copy or a move: it names its files' folder.

    Raises:
        ToolError: a store elsewhere names the folder of a repository that is gone.
    """
    if path.resolve().is_relative_to(address.artifacts().parent):
        return bool(_other_folders(path, f"{address.NAME}*"))
    for folder in _other_folders(path, experiment):
        if not folder.parent.is_dir():  # MLflow would make it again
            raise ToolError(
                f"{path}: expected the folder of its runs' files, {folder}, got none: its repository was "
                "moved or deleted. Put it back, or name another store in MLFLOW_TRACKING_URI."
            )
    return False


def _other_folders(path: Path, experiments: str) -> list[Path]:
    """List the folders of other repositories in which experiments, named by a pattern, keep their files.

    Asked without MLflow, which would keep its connection to the file.
    """
    own = address.artifacts()
    query = (
        "SELECT artifact_location FROM experiments "
        "WHERE name GLOB ? AND artifact_location GLOB ? AND artifact_location != ?"
    )
    values = (experiments, f"file:*/{own.name}", own.as_uri())
    if path.exists():
        # What is not a database, MLflow says.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            return [address.local_path(location) for (location,) in connection.execute(query, values)]
    return []


def _announced_aside(path: Path) -> Path:
    """Choose a free name for a store of another folder, and print that `publish` keeps it under that name."""
    names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    asides = (path.with_name(f"{path.name}.elsewhere{end}") for end in names)
    aside = next(aside for aside in asides if not aside.exists())
    print(
        f"note: {path} was made in another folder, where its runs' files are. `publish` keeps it as {aside} "
        "and makes it anew here from the outputs.",
        file=sys.stderr,
    )
    return aside


@contextlib.contextmanager
def may_exist() -> Iterator[None]:
    """Ignore that MLflow has such a thing already: another process was quicker."""
    try:
        yield
    except Exception as error:
        if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
            raise


def first_line(error: BaseException) -> str:
    """Shorten an error to the first line of its text, without a login that an address in it may hold."""
    lines = without_login(str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:1000]  # what to do stands at the end


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise as ToolError whatever MLflow and its store come up with."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        check = (
            "Check MLFLOW_TRACKING_URI and the server, then"
            if os.environ.get("MLFLOW_TRACKING_URI")
            else "Then"
        )
        raise ToolError(
            f"{without_login(uri)}: expected MLflow's store to answer, got: {first_line(error).rstrip('.')}. "
            f"{check} `python -m pipeline publish`; nothing is lost."
        ) from error


def _connect(client: Any, name: str, artifacts: str | None) -> Store:
    """Find the experiment, or create it with `artifacts` as the address of its files (None: the server's)."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # Without the first tag, the UI opens the experiment in its view for language models.
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _NOTE}
        with may_exist():
            client.create_experiment(name, artifact_location=artifacts, tags=tags)
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return Store(client, experiment.experiment_id)
