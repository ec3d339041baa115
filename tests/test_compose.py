"""docs/compose.yaml, as far as it can be checked where no containers run."""

import re
from importlib import metadata

from ruamel.yaml import YAML

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = YAML(typ="safe", pure=True).load(TEXT)
SERVER = COMPOSE["services"]["mlflow"]


def test_the_server_is_the_mlflow_of_the_lock() -> None:
    assert f'"mlflow[auth]=={metadata.version("mlflow")}"' in SERVER["build"]["dockerfile_inline"]


def test_logins_hosts_and_artifacts_are_settled() -> None:
    command = " ".join(SERVER["command"])
    for option in (
        "--app-name=basic-auth",
        "--serve-artifacts",
        "--artifacts-destination=",
        "--allowed-hosts=",
    ):
        assert option in command
    assert "MLFLOW_AUTH_CONFIG_PATH" in SERVER["environment"]
    assert "database_uri = postgresql+psycopg2://" in COMPOSE["configs"]["auth"]["content"]


def test_no_password_has_a_default() -> None:
    for name in ("POSTGRES_PASSWORD", "MLFLOW_ADMIN_PASSWORD", "MLFLOW_SECRET_KEY", "MLFLOW_HOST"):
        assert re.search(rf"\$\{{{name}:\?set it in \.env\}}", TEXT), name
        assert not re.search(rf"\$\{{{name}:-", TEXT), name


def test_the_server_alone_is_reachable_from_outside() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == ["mlflow"]
    assert SERVER["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert all("healthcheck" in service for service in COMPOSE["services"].values())


def test_every_volume_and_config_is_declared() -> None:
    used = {mount.split(":")[0] for service in COMPOSE["services"].values() for mount in service["volumes"]}
    assert used == set(COMPOSE["volumes"])
    assert {config["source"] for config in SERVER["configs"]} == set(COMPOSE["configs"])
