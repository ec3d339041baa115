"""Command `ui`: MLflow's pages, filled up from the outputs, opened where this study's runs are compared."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable

from pipeline.core import files
from pipeline.core.errors import ToolError, without_login
from pipeline.tracking import address
from pipeline.tracking.publish import publish_outputs

HOST = "127.0.0.1"
_START = 180.0  # seconds; a small machine under load takes its time to import MLflow's server
_END = 10.0


def ui(*, port: int = 5000, browser: bool = True) -> None:
    """Publish, serve, open the comparison of this study's runs; end with Ctrl-C.

    Where `MLFLOW_TRACKING_URI` is a server, open its page and leave.

    Args:
        port: where to serve; if it is taken, on any free one.

    Raises:
        ToolError: the store does not answer, or the server does not start.
    """
    publisher = publish_outputs()
    uri = address.tracking_uri()

    def show(server: str) -> None:
        page = publisher.page(server)
        print(f"\nThe comparison: {page}", flush=True)
        if browser:
            webbrowser.open(page)

    if address.is_server(uri):
        show(without_login(uri))
    else:
        serve(uri, _free_port(port), show)


def serve(uri: str, port: int, show: Callable[[str], None]) -> None:
    """Run MLflow's server on a store, and `show` its address when it answers.

    Ctrl-C, SIGTERM or the end of the terminal ends it.

    Raises:
        ToolError: the server does not start, or fails.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", HOST]
    command += ["--port", str(port), "--default-artifact-root", address.artifacts().as_uri()]
    settings = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password; everybody can read a command line
        # Its job workers serve language models; without them it starts sooner.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = files.repository() / ".scratch" / "mlflow-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # A signal is only noted: it must not part the server's start, or its end, from its process.
    signals = list[int]()  # an Event would deadlock: the handler runs inside of its `wait`
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, lambda received, _: signals.append(received))
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        answered, until = False, time.monotonic() + _START
        while not signals:
            time.sleep(0.2)
            if server.poll() is not None or not (answered or time.monotonic() < until):
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise ToolError(
                    f"MLflow's server: expected it to answer at {HOST}:{port}, got: "
                    f"{''.join(last) or 'nothing'}. See {log}."
                )
            if not answered and (answered := _answers(f"http://{HOST}:{port}/health")):
                show(f"http://{HOST}:{port}")
                print("Ctrl-C ends it.", flush=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_END)
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(health: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), direct.open(health, timeout=5):
        return True
    return False


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)) as probe:
            return int(probe.getsockname()[1])
    raise ToolError(f"{HOST}: expected a free port, got none.")
