"""`ui`: served on loopback, opened at the comparison, gone after Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from pipeline import __main__ as program
from tests.conftest import listening
from tests.tracking import studies

HOST = "127.0.0.1"


def fetch(address: str, body: object = None) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with direct.open(request, timeout=60) as answer:
        return bytes(answer.read())


DEFAULT_SIGNALS = """
import signal
for number in (signal.SIGINT, signal.SIGHUP):  # ignored in a background job, and under nohup
    signal.signal(number, signal.SIG_DFL)
"""
COMMAND = f"""
{DEFAULT_SIGNALS}
import sys
from pipeline.__main__ import main
sys.exit(main())
"""


HOSTILE = {
    "MLFLOW_ARTIFACTS_ONLY": "true",
    "MLFLOW_GUNICORN_OPTS": "--timeout 60",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "mlflow.example",
    "MLFLOW_STATIC_PREFIX": "/mlflow",
    "UVICORN_SSL_KEYFILE": "/nowhere/key",
}
"""Of a user who has a server of their own, elsewhere."""


@pytest.mark.services
def test_the_page_is_served_and_opened_until_ctrl_c_also_where_the_port_is_taken(
    study: Path, tmp_path: Path
) -> None:
    studies.write_study(study)
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/new && mv {tmp_path}/new {tmp_path}/opened\n')
    browser.chmod(0o755)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "ui", "--port", str(port)],
            env=os.environ | {"PYTHONPATH": str(studies.ROOT), "BROWSER": f"{browser} %s"} | HOSTILE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(240, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            printed = ""
            for line in process.stdout:
                printed += line
                if "Ctrl-C" in line:
                    break
            page = re.search(r"(http://127\.0\.0\.1:(\d+))/#/experiments/(\d+)/runs\?(\S+)", printed)
            assert page, printed
            server, own_port, experiment, query = page.groups()
            assert int(own_port) != port
            assert "workflowType=machine_learning" in query
            until = time.monotonic() + 180
            while not (tmp_path / "opened").exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)
            assert (tmp_path / "opened").read_text().strip() == page[0]
            assert b"<title>MLflow</title>" in fetch(server)
            assert listening(process.pid) == {HOST}
            tags = json.loads(fetch(f"{server}/api/2.0/mlflow/experiments/get?experiment_id={experiment}"))
            names = {tag["key"] for tag in tags["experiment"]["tags"]}
            key = re.search(r"viewStateShareKey=(\w+)", query)
            assert key is not None
            assert f"mlflow.sharedViewState.{key[1]}" in names
            assert "mlflow.experimentKind" in names
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            process.stdout.close()
            with pytest.raises(OSError, match="refused"):
                fetch(server)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()


SERVING = f"""
{DEFAULT_SIGNALS}
from pipeline.commands import ui
ui.serve("postgresql://us:secret@db/study", 9)
"""
SERVER = """
import os, sys, time
from pathlib import Path
Path("arguments").write_text(os.environ["MLFLOW_BACKEND_STORE_URI"] + " " + " ".join(sys.argv))
Path("pid.new").write_text(str(os.getpid()))
Path("pid.new").rename("pid")
time.sleep(300)
"""


@pytest.fixture
def pretended_mlflow(tmp_path: Path) -> dict[str, str]:
    """An environment in which `python -m mlflow` notes how it was started, and never answers."""
    package = tmp_path / "pretended" / "mlflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SERVER)
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(package.parent), str(studies.ROOT)))}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_server_starts_ends_it_and_its_command_line_shows_no_password(
    tmp_path: Path, pretended_mlflow: dict[str, str], number: signal.Signals
) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVING], cwd=tmp_path, env=pretended_mlflow)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
            time.sleep(0.05)
        assert int((tmp_path / "pid").read_text()) == process.pid
        process.send_signal(number)
        assert process.wait() == -number
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    uri, *arguments = (tmp_path / "arguments").read_text().split()
    assert uri == "postgresql://us:secret@db/study"
    assert "secret" not in " ".join(arguments)


@pytest.mark.parametrize("port", ["70000", "-1", "x"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["ui", "--port", port])
    assert f"expected a port from 0 (any free one) to 65535, got {port}" in capsys.readouterr().err
