"""What `tools.offline` promises; `.ci/run` runs `make test` and `make demo` by it."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.hard
OFFLINE = [sys.executable, "-m", "tools.offline"]


def offline(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*OFFLINE, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_there_is_no_network_but_loopback() -> None:
    if (tried := offline("true")).returncode != 0:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    program = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "socket.create_connection(('192.0.2.1', 80), 5)\n"  # an address that no machine has
    )
    done = offline(sys.executable, "-c", program)
    assert "Network is unreachable" in done.stderr
