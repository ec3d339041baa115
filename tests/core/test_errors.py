"""An error's text names no login."""

import pytest

from pipeline.core.errors import without_login


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@server:5000/x", "http://server:5000/x"),
        ("to https://TOKEN@server/a and s3://k:p@ss@b/c: 404", "to https://server/a and s3://b/c: 404"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("write to me@work.example", "write to me@work.example"),
    ],
)
def test_addresses_are_shown_without_login(text: str, shown: str) -> None:
    assert without_login(text) == shown
