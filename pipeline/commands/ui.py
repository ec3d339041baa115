"""Command `ui`: MLflow's pages, up to date with the outputs, at the comparison of this study's runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser

from pipeline.core.errors import ToolError, without_login
from pipeline.tracking import address
from pipeline.tracking.publish import publish_outputs

HOST = "127.0.0.1"
_END = 10.0  # seconds that the server has to end


def ui(*, port: int = 5000, browser: bool = True) -> None:
    """Publish, print the comparison's address, run MLflow's server until Ctrl-C.

    Where `MLFLOW_TRACKING_URI` is a server, open its page and leave.

    Args:
        port: where to serve; if it is taken, on any free one.

    Raises:
        ToolError: the store does not answer, or the server ends by itself.
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
    if browser:
        threading.Thread(target=_open, args=(server, page), daemon=True).start()
    print("It answers in some seconds. Ctrl-C ends it.", flush=True)
    serve(uri, port)


def serve(uri: str, port: int) -> None:
    """Run MLflow's server on a store until Ctrl-C, SIGTERM or the end of the terminal.

    Raises:
        ToolError: it ends by itself.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--workers=1", f"--host={HOST}", f"--port={port}"]
    command += ["--default-artifact-root", address.artifacts().as_uri()]
    command += ["--uvicorn-opts", "--log-level warning"]
    settings = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password; everybody can read a command line
        # Its job workers serve language models; without them it starts sooner.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # A signal is only noted: it must not part the server's start, or its end, from its process.
    signals = list[int]()  # an Event would deadlock: the handler runs inside of its `wait`
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, lambda received, _: signals.append(received))
    server = subprocess.Popen(command, env=settings, start_new_session=True)  # it has processes of its own
    while server.poll() is None and not signals:
        time.sleep(0.2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_END)
        os.killpg(server.pid, signal.SIGKILL)
    code = server.wait()
    if not signals:
        raise ToolError(
            f"MLflow's server at {HOST}:{port}: expected it to go on until Ctrl-C, it ended with {code}. "
            "What it said stands above."
        )


def _open(server: str, page: str) -> None:
    """Open the page in the browser when the server answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with contextlib.suppress(OSError), direct.open(f"{server}/health", timeout=5):
            break
        time.sleep(0.2)
    webbrowser.open(page)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)) as probe:
            return int(probe.getsockname()[1])
    raise ToolError(f"{HOST}: expected a free port, got none.")
