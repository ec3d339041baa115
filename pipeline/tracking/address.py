"""Where MLflow's data is. Knows nothing of MLflow itself, so that the train stage can ask, too."""

import os
from pathlib import Path

from pipeline.core import files

NAME = "learning-rate-study"
CONNECTED = "connected"
"""What the process beside a training prints once the store has answered."""


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else the database file in the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{files.repository().resolve() / 'mlflow.db'}"


def is_remote(uri: str) -> bool:
    """Whether somebody else's process answers: one that can be down, slow, or at the end of a bad line."""
    return not uri.startswith(("sqlite:", "file:"))


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def artifacts() -> Path:
    """Where a local store keeps files."""
    return files.repository().resolve() / "mlartifacts"


def database(uri: str) -> Path:
    """The file of an SQLite store."""
    return Path(uri.removeprefix("sqlite:///").split("?")[0])


def lock(uri: str) -> Path:
    """The file that processes of this machine lock while they create a store's tables or publish to it."""
    if uri.startswith("sqlite:///"):
        return database(uri).with_name(f"{database(uri).name}.lock")
    return files.repository().resolve() / "mlflow.db.lock"


def experiment(dataset: str) -> str:
    """The experiment's name; it says which data set it is about, unless that is the one of the study."""
    return NAME if dataset == "mnist" else f"{NAME}-{dataset}"


def model(dataset: str) -> str:
    """The name in the model registry."""
    return f"{dataset}-classifier"
