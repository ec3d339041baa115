"""Without a network: what `tools.offline` promises (`.ci/run` runs tests and the demo by it), and what a
newcomer sees; beside it, what the same command does where there is data.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.params import reading
from tests.conftest import ROOT, run_pipeline
from tests.hard.conftest import PATIENCE

pytestmark = pytest.mark.hard
OFFLINE = [sys.executable, "-m", "tools.offline"]


def offline(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*OFFLINE, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_only_the_loopback_network_is_there() -> None:
    if (attempt := offline("true")).returncode != 0:
        pytest.skip(f"no network namespace can be made here: {attempt.stderr.strip()}")
    program = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "socket.create_connection(('192.0.2.1', 80), 5)\n"  # an address that no machine has
    )
    done = offline(sys.executable, "-c", program)
    assert "Network is unreachable" in done.stderr


def test_without_a_network_the_demo_runs_and_the_message_says_so(project: Path) -> None:
    reading.override(project / "params.yaml", {"data.dataset": "mnist", "data.mirrors": ["../nothing/here"]})

    code = project / "pipeline/commands/demo.py"
    code.write_text(code.read_text().replace("[0.1, 0.01, 0.0001]", "[0.01]"))  # a demo of two runs, not six

    done = run_pipeline(project, "repro", timeout=PATIENCE)

    assert done.returncode == 75, done.stdout + done.stderr
    assert "The study was NOT run: no source delivered MNIST." in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((project / "data/raw").glob("*"))
    assert not (project / "runs").exists()
    demo = project / ".scratch/demo"
    assert "data set digits" in (demo / "report/summary.md").read_text(encoding="utf-8")
    assert (demo / "mlflow.db").exists()


def test_one_command_runs_the_study_publishes_it_and_names_the_report(project: Path) -> None:
    done = run_pipeline(project, "repro", timeout=PATIENCE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "report/index.html" in done.stdout
    assert "0 not published" in done.stdout
    recorded = json.loads((project / "environment.json").read_text(encoding="utf-8"))
    assert "runs/lr-0.01/seed-0" in recorded["outputs"]
    again = run_pipeline(project, "repro", timeout=PATIENCE)
    assert "Data and pipelines are up to date." in again.stdout + again.stderr
    assert "publish: 0 changed" in again.stdout
