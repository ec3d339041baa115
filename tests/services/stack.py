"""What docs/compose.yaml starts, started without containers: PostgreSQL and MLflow's server, on loopback."""

import base64
import contextlib
import http.server
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOST = "127.0.0.1"
ADMIN = "admin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def need_postgres() -> Path:
    """The folder of PostgreSQL's programs; skips the test where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + sorted(
        Path("/opt/homebrew/opt").glob("postgresql*/bin")
    )
    found = next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)
    on_path = shutil.which("initdb")
    if found is None and on_path is None:
        pytest.skip("PostgreSQL is missing: apt-get install postgresql")
    for module, package in (("psycopg2", "psycopg2-binary"), ("flask_wtf", "mlflow[auth]")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the server's package {package} is missing: pip install it")
    return found or Path(str(on_path)).parent


def need_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is missing: apt-get install chromium")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a new cluster; gives the database's address."""
    programs = need_postgres()
    port, password = free_port(), secrets.token_hex(8)
    # PostgreSQL refuses to run as root, and containers of CI often are root. Another user cannot look into
    # pytest's folders, so the cluster has one of its own.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgres-") as temporary:
        place = Path(temporary)
        (place / "password").write_text(password, encoding="utf-8")
        if user:
            shutil.chown(place, "postgres", "postgres")
            shutil.chown(place / "password", "postgres", "postgres")
        data, log_file = place / "data", place / "log"
        create = [programs / "initdb", "--pgdata", data, "--username=mlflow"]
        create += [f"--pwfile={place / 'password'}", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"]
        subprocess.run(create, check=True, capture_output=True, cwd="/", **user)
        command = [
            programs / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-h",
            HOST,
            "-k",
            place,
            "-c",
            "fsync=off",
        ]
        with log_file.open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **user)
        try:
            ready = [programs / "pg_isready", "-h", HOST, "-p", str(port)]
            _until(
                lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
                log_file,
                server,
            )
            environment = os.environ | {"PGPASSWORD": password}
            create = [programs / "createdb", "-h", HOST, "-p", str(port), "-U", "mlflow", "mlflow"]
            subprocess.run(create, check=True, env=environment, capture_output=True)
            yield f"postgresql+psycopg2://mlflow:{password}@{HOST}:{port}/mlflow"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


class Server:
    """MLflow's server as docs/compose.yaml has it; can be killed and started again on the same port."""

    def __init__(self, place: Path, database: str) -> None:
        self.place, self.database, self.port = place, database, free_port()
        self.password = secrets.token_hex(12)
        self.uri = f"http://{HOST}:{self.port}"
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        place.mkdir()
        (place / "auth.ini").write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = {database}\nadmin_username = {ADMIN}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n",
            encoding="utf-8",
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--app-name=basic-auth"]
        command += [
            f"--backend-store-uri={self.database}",
            f"--artifacts-destination={self.place / 'artifacts'}",
        ]
        command += ["--serve-artifacts", f"--host={HOST}", f"--port={self.port}", "--workers=1"]
        command += [f"--allowed-hosts={HOST}:{self.port}"]
        settings = {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.place / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self._secret,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        }
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | settings,
                cwd=self.place,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _until(self.is_up, self.place / "log", self._process)

    def is_up(self) -> bool:
        try:
            self.ask("/health").close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            return True
        return False

    def ask(self, path: str, **headers: str) -> Any:
        """Answer of a GET request, past any proxy of the machine."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return direct.open(urllib.request.Request(self.uri + path, headers=headers), timeout=20)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def client_settings(self) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": ADMIN,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }


@contextlib.contextmanager
def logged_in(server: Server) -> Iterator[str]:
    """A door to the server that logs in whoever comes: a browser without windows cannot type a password."""
    login = base64.b64encode(f"{ADMIN}:{server.password}".encode()).decode()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            headers = {"Authorization": f"Basic {login}"}
            if kind := self.headers.get("Content-Type"):
                headers["Content-Type"] = kind
            request = urllib.request.Request(server.uri + self.path, body, headers, method=self.command)
            try:
                answer = direct.open(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    door = http.server.ThreadingHTTPServer((HOST, 0), Door)
    door.daemon_threads = True
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{door.server_address[1]}"
    finally:
        door.shutdown()
        door.server_close()


@contextlib.contextmanager
def mlflow_server(place: Path, database: str) -> Iterator[Server]:
    server = Server(place, database)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _until(
    ready: Any, log: Path, process: "subprocess.Popen[bytes] | None" = None, seconds: float = 600
) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until or (process is not None and process.poll() is not None):
            raise TimeoutError(f"not ready after {seconds} s:\n{log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.2)
