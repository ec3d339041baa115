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
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from pipeline.commands import publish
from pipeline.core import files
from pipeline.core.errors import ToolError, without_login
from pipeline.tracking import address, view

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
    published = publish.bring()
    if published.store is None:
        raise ToolError("expected a store after publishing, found none. Run `python -m pipeline publish`.")
    uri = address.tracking_uri()
    if address.is_server(uri):
        _show(view.address(without_login(uri), published.store, published.study), browser=browser)
        return
    free = _free_port(port)
    with _serving(uri, free):
        _show(view.address(f"http://{HOST}:{free}", published.store, published.study), browser=browser)
        print("Ctrl-C ends it.", flush=True)
        _wait_for_the_end()


def _show(address: str, *, browser: bool) -> None:
    print(f"\nThe comparison: {address}", flush=True)
    if browser:
        webbrowser.open(address)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise ToolError(f"{HOST}: expected a free port, found none.")


@contextlib.contextmanager
def _serving(uri: str, port: int) -> Iterator[None]:
    """Run MLflow's server, ready when the block begins, gone when it has ended.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM, or the terminal was closed.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--default-artifact-root", address.artifacts().as_uri()]
    command += ["--host", HOST, "--port", str(port)]
    settings = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,  # it may hold a password; everybody can read a command line
        # Its job workers serve language models; without them it starts sooner.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    log = files.repository() / ".scratch" / "mlflow-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, _signals() as obey:
        server = subprocess.Popen(
            command, env=settings, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            obey(True)
            _wait_until_ready(server, f"http://{HOST}:{port}/health", log)
            yield
        finally:
            obey(False)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(_END)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[bool], None]]:
    """Gives a switch: while it is on, a signal to end raises KeyboardInterrupt, else it waits for that.

    It is off at first and last, where a signal must not part the server's start or end from its process.
    """
    on, came = False, False

    def leave(_number: int, _frame: FrameType | None) -> None:
        nonlocal on, came
        before, on, came = on, False, True  # one is enough: the next must not break off what it began
        if before:
            raise KeyboardInterrupt

    def obey(now: bool) -> None:
        nonlocal on
        on = now and not came
        if now and came:
            raise KeyboardInterrupt

    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, leave)
    try:
        yield obey
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _wait_until_ready(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + _START
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), direct.open(address, timeout=5):
            return
        time.sleep(0.1)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise ToolError(
        f"MLflow's server: expected it to answer at {address}, got: {''.join(last) or 'nothing'}. "
        f"{log} tells the rest."
    )


def _wait_for_the_end() -> None:
    """Return when a signal to end comes."""
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(flush=True)
