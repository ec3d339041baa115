"""`ui`: served on loopback, opened at the comparison, gone after Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

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
