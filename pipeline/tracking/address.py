"""Where MLflow's data is. Knows nothing of MLflow itself, so that a training can ask, too."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from pipeline.core import files

NAME = "learning-rate-study"


def default_uri() -> str:
    """Give the address of the database file in the repository's root."""
    return sqlite(files.repository().resolve() / "mlflow.db")


def sqlite(path: Path) -> str:
    """Write a database file's address, which SQLAlchemy reads back, whatever the path's characters.

    Of an address with the driver's name, MLflow makes no folder; it would do so with the escaped path.
    """
    text = str(path)
    return f"sqlite+pysqlite:///{quote(text)}" if set("?%") & set(text) else f"sqlite:///{text}"


def tracking_uri() -> str:
    """Give the store's address; a relative path in it is seen from the repository, also in DVC's copies.

    MLflow would take a `~` for a folder's name.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri()
    path = database(uri)
    if not path or (path.is_absolute() and ":///~" not in uri):
        return uri
    return sqlite(files.repository().resolve() / path)


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def artifacts() -> Path:
    """Give the folder of a local store's files."""
    return files.repository().resolve() / "mlartifacts"


def local_path(uri: str) -> Path:
    """Give the path that a `file:` address names."""
    return Path(url2pathname(urlsplit(uri).path))


def database(uri: str) -> Path | None:
    """Give the file of an SQLite store; None for other stores."""
    scheme, _, rest = uri.partition(":///")
    if scheme not in ("sqlite", "sqlite+pysqlite"):
        return None
    return Path(os.path.expanduser(unquote(rest.split("?")[0])))  # noqa: PTH111 - Path's own wants a home


def lock(uri: str) -> Path:
    """Give the file that processes of this machine lock to create a store's tables or to publish to it."""
    path = database(uri) or files.repository().resolve() / "mlflow.db"
    return path.with_name(f"{path.name}.lock")


def experiment(dataset: str) -> str:
    """Name the experiment; it says which data set it is about, unless that is the default study's."""
    return NAME if dataset == "mnist" else f"{NAME}-{dataset}"
