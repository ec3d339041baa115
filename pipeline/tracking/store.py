"""The connection: one place that sets MLflow up, opens the store and creates what is not there yet."""

# ruff: noqa: TID251 - the package that imports MLflow

import contextlib
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.core.errors import PipelineError, ToolError, without_login
from pipeline.tracking import address

_PAGE = 1000

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # the model's requirements are given, not guessed
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow reads these when it is imported; nothing here calls home or guesses."""

_NOTE = (
    "A view of the outputs of `dvc repro`, which are the truth: `python -m pipeline publish` makes it again. "
    "Times of metrics are not measured: a step is shown as one millisecond after the run's start."
)


@dataclass(frozen=True)
class Store:
    """An open store: its `mlflow.MlflowClient`, and the id of the data set's experiment."""

    uri: str
    client: Any
    experiment_id: str

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
        runs: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], condition, max_results=_PAGE, page_token=token
            )
            runs += page
            if not (token := page.token):
                return runs


def open_store(dataset: str, *, retries: int = 2, timeout: int = 30) -> Store:
    """Connect, and create tables and experiment where there are none.

    Args:
        retries: how often a request to a server is repeated before it counts as failed.
        timeout: seconds until a request to a server counts as failed.

    Raises:
        ToolError: MLflow is not installed, or the store does not answer or refuses.
    """
    uri = address.tracking_uri()
    with _mlflow(uri, retries, timeout) as mlflow:
        if address.is_server(uri):
            return _connect(mlflow, uri, dataset)
        # Processes that create a database's tables at the same time break each other.
        lock = address.lock(uri)
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # fails at once where nobody can write; the lock would wait for its turn instead
        with FileLock(lock, timeout=60):
            if (path := address.database(uri)) and not path.exists():
                _create_database(mlflow, path)
            return _connect(mlflow, uri, dataset)


def find_store(dataset: str) -> Store | None:
    """Connect as `open_store` does, but create nothing: None if there is no store or no experiment."""
    uri = address.tracking_uri()
    if (path := address.database(uri)) and not path.exists():
        return None
    with _mlflow(uri) as mlflow:
        client = mlflow.MlflowClient(uri, uri)
        experiment = client.get_experiment_by_name(address.experiment(dataset))
        return Store(uri, client, experiment.experiment_id) if experiment else None


def is_conflict(error: Exception) -> bool:
    """Whether MLflow says that there is such a thing already: another process was quicker."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"


def summary(error: BaseException) -> str:
    """Shorten an error to the first line of its text, without a login that an address in it may hold."""
    lines = without_login(str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]


@contextlib.contextmanager
def _mlflow(uri: str, retries: int = 2, timeout: int = 30) -> Iterator[Any]:
    """Import MLflow with our settings."""
    os.environ |= _SETTINGS | {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout),
    }
    try:
        import mlflow
    except ImportError as error:
        raise ToolError(
            f"expected MLflow to be installed, got: {error}. `make repro` installs it."
        ) from error
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with explained(uri):
        yield mlflow


@contextlib.contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise as ToolError whatever MLflow and its store come up with."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        raise ToolError(
            f"{without_login(uri)}: expected MLflow's store to answer, got: {summary(error)}. "
            "Check MLFLOW_TRACKING_URI and the server, then `python -m pipeline publish`; nothing is lost."
        ) from error


def _create_database(mlflow: Any, path: Path) -> None:
    """Make the tables beside and rename: MLflow cannot go on with tables that a full disk left half-made."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        mlflow.MlflowClient(f"sqlite:///{new}", f"sqlite:///{new}").search_experiments(max_results=1)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _connect(mlflow: Any, uri: str, dataset: str) -> Store:
    client, name = mlflow.MlflowClient(uri, uri), address.experiment(dataset)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # A store without a server keeps its files where the experiment says, for good: never the current
        # folder, which may be a copy that DVC throws away.
        location = None if address.is_server(uri) else address.artifacts().as_uri()
        # Without the first tag, the UI opens the experiment in its view for language models.
        tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _NOTE}
        try:
            client.create_experiment(name, artifact_location=location, tags=tags)
        except mlflow.exceptions.MlflowException as error:
            if not is_conflict(error):
                raise
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return Store(uri, client, experiment.experiment_id)
