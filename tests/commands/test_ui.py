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

import psutil
import pytest

from pipeline import __main__ as program
from pipeline.commands import ui
from pipeline.tracking import view
from tests import tracking_fixtures as fixtures
from tests.conftest import listening
from tests.mlflow_fixtures import empty_database, study  # noqa: F401

HOST = "127.0.0.1"


def fetch(address: str, body: object = None) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with direct.open(request, timeout=60) as answer:
        return bytes(answer.read())


@pytest.mark.services
def test_the_page_is_served_until_ctrl_c_also_where_the_port_is_taken(study: Path) -> None:  # noqa: F811
    fixtures.write_study(study)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "ui", "--no-browser", "--port", str(port)],
            env=os.environ | {"PYTHONPATH": str(fixtures.ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(240, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C" in line:
                    break
            found = re.search(r"(http://127\.0\.0\.1:(\d+))/#/experiments/(\d+)/runs\?(\S+)", said)
            assert found, said
            server, own_port, experiment, query = found.groups()
            assert int(own_port) != port
            assert "workflowType=machine_learning" in query
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


def test_the_view_fits_into_a_tag_and_chooses_the_studys_runs() -> None:
    state = view._state("0123456789ab")
    assert state["searchFilter"] == 'tags.`study.0123456789ab` = "yes"'
    assert [chart["metricKey"] for chart in state["compareRunCharts"]] == ["val_loss", "val_accuracy", "loss"]
    assert "metrics.`learning_rate`" in state["selectedColumns"]
    assert len(view._compressed(state)) < 5000  # what MLflow takes


SERVING = """
import sys, types
from pipeline.commands import ui
ui.sys = types.SimpleNamespace(executable=sys.argv[1])
with ui._serving("postgresql://us:secret@db/study", 9):
    pass
"""
SERVER = """#!/bin/sh
echo "$MLFLOW_BACKEND_STORE_URI $*" > said
echo $$ > pid.new
mv pid.new pid
exec sleep 300
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_server_starts_leaves_none_and_its_command_line_tells_no_password(
    tmp_path: Path, number: signal.Signals
) -> None:
    server = tmp_path / "server"
    server.write_text(SERVER)
    server.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVING, str(server)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(fixtures.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate()
        assert said.strip().endswith("KeyboardInterrupt")
        assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
    uri, *arguments = (tmp_path / "said").read_text().split()
    assert uri == "postgresql://us:secret@db/study"
    assert "secret" not in " ".join(arguments)


def test_a_signal_that_comes_before_it_may_be_obeyed_waits() -> None:
    with ui._signals() as obey:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            obey(True)
        signal.raise_signal(signal.SIGHUP)  # one is obeyed


def test_one_signal_is_obeyed_and_the_next_breaks_off_nothing() -> None:
    with ui._signals() as obey:
        obey(True)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("port", ["70000", "-1", "x"])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["ui", "--port", port])
    assert f"expected a port from 0 (any free one) to 65535, got {port}" in capsys.readouterr().err
