"""Where MLflow's data is. Knows nothing of MLflow itself, so that a training can ask, too."""

import os
from pathlib import Path

from pipeline.core import files

NAME = "learning-rate-study"
REMEDY = "`python -m pipeline publish` adds what is missing."


def default_uri() -> str:
    """Give the address of the database file in the repository's root."""
    return f"sqlite:///{files.repository().resolve() / 'mlflow.db'}"


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or default_uri()


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def artifacts() -> Path:
    """Give the folder of a local store's files."""
    return files.repository().resolve() / "mlartifacts"


def database(uri: str) -> Path | None:
    """Give the file of an SQLite store; None for other stores."""
    return Path(uri.removeprefix("sqlite:///").split("?")[0]) if uri.startswith("sqlite:///") else None


def lock(uri: str) -> Path:
    """Give the file that processes of this machine lock to create a store's tables or to publish to it."""
    path = database(uri) or files.repository().resolve() / "mlflow.db"
    return path.with_name(f"{path.name}.lock")


def experiment(dataset: str) -> str:
    """Name the experiment; it says which data set it is about, unless that is the default study's."""
    return NAME if dataset == "mnist" else f"{NAME}-{dataset}"
