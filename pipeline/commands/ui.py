"""Command `ui`: MLflow's pages, up to date with the outputs, at the comparison of this study's runs."""

import contextlib
import multiprocessing
import os
import re
import signal
import socket
import sys
import time
import urllib.request
import webbrowser

from pipeline.core.errors import ToolError, without_login
from pipeline.tracking import address, store
from pipeline.tracking.publish import publish_outputs

HOST = "127.0.0.1"


def ui(*, port: int = 5000, browser: bool = True) -> None:
    """Publish, print the comparison's address, become MLflow's server.

    Where `MLFLOW_TRACKING_URI` is a server, open its page and leave.

    Args:
        port: where to serve; if it is taken, on any free one.

    Raises:
        ToolError: the store does not answer.
    """
    publisher, uri = publish_outputs(), address.tracking_uri()
    local = not address.is_server(uri)
    port = _free_port(port) if local else port
    server = f"http://{HOST}:{port}" if local else without_login(uri)
    page, studies = publisher.pages(server)
    print(f"\nThe comparison: {page}\nAll studies:    {studies}", flush=True)
    if not local:
        if browser:
            webbrowser.open(page)
        return
    if browser:  # a process of its own: this one's program is replaced
        multiprocessing.get_context("spawn").Process(target=_open, args=(server, page)).start()
    print("It answers in some seconds. Ctrl-C ends it.", flush=True)
    serve(uri, port)


def serve(uri: str, port: int) -> None:
    """Replace this program by MLflow's server on a store."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers=1", f"--host={HOST}", f"--port={port}"]
    command += ["--default-artifact-root", address.artifacts().as_uri()]
    command += ["--uvicorn-opts", "--log-level warning"]
    # A user's variables for a server elsewhere would end this one, move its pages, or have it refuse them.
    kept = {name: value for name, value in os.environ.items() if not re.match("_?MLFLOW_|UVICORN_", name)}
    ours = store.SETTINGS | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password; everybody can read a command line
        # Its job workers serve language models; without them it starts sooner.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    os.execve(sys.executable, command, kept | ours)


def _open(server: str, page: str) -> None:
    """Open the page in the browser when the server answers, unless it ends before."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    direct, parent = urllib.request.build_opener(urllib.request.ProxyHandler({})), os.getppid()
    while os.getppid() == parent:
        with contextlib.suppress(OSError), direct.open(f"{server}/health", timeout=5):
            webbrowser.open(page)
            break
        time.sleep(0.2)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)) as probe:
            return int(probe.getsockname()[1])
    raise ToolError(f"{HOST}: expected a free port, got none.")
