"""Ray's cluster: one of this machine's cores alone, or one that is there already."""

# ruff: noqa: TID251 - the only importer of Ray

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import pipeline
from pipeline.core.errors import ToolError
from pipeline.sweep.tasks import Engine

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a run without a share of a GPU sees none
    "RAY_worker_niceness": "0",  # as `dvc repro` trains; Ray's own choice is 15
}


def require() -> None:
    """Raises:
    ToolError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ToolError(
            "expected Ray to be installed, found none. `make sweep` installs it; by hand: "
            "`pip install --require-hashes -r requirements/ray.txt`. `dvc repro` needs no Ray."
        )


@contextlib.contextmanager
def connected(address: str | None, data_bytes: int) -> Iterator[Engine]:
    """Start a cluster on this machine, or join the one at `address`; leave it in the end.

    A cluster of one's own listens on 127.0.0.1 alone and wants a token that only its processes know.

    Args:
        address: as in `engine.Options`.
        data_bytes: what the object store must hold at least.

    Raises:
        ToolError: there is no cluster at the address, or this machine cannot start one.
    """
    local = address is None
    os.environ.update(_SETTINGS)  # Ray reads its variables when it is imported
    if local:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch for 127.0.0.1, on Linux too
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    with contextlib.ExitStack() as stack:
        if local:
            place = stack.enter_context(_short_folder())
            settings = quiet | {
                "num_cpus": _cores(),
                "include_dashboard": False,
                "object_store_memory": max(200_000_000, 3 * data_bytes),
                "_temp_dir": str(place),
            }
        else:
            package = Path(pipeline.__file__).parent
            environment = {"py_modules": [str(package)], "env_vars": _SETTINGS}
            settings = quiet | {"address": address, "runtime_env": environment}
        try:
            context = _joined(ray, settings)
        except Exception as error:
            where = address or "this machine"
            raise ToolError(
                f"Ray on {where}: expected a cluster, got: {_line(error)}. Check --address, and that every "
                "machine has the packages of requirements/ray.txt; without --address the sweep uses this "
                "machine."
            ) from error
        stack.callback(ray.shutdown)
        yield Engine(ray, getattr(context, "dashboard_url", "") or "", local)


def _joined(ray: Any, settings: Mapping[str, Any]) -> Any:
    """`ray.init`; it gives its own processes 30 s to start, which a busy machine may not manage.

    So it is tried three times: here, and elsewhere where the cluster answers that it failed by itself. It
    makes SIGTERM end the process at once. What was to happen then stays in force instead.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    attempts = 3
    while True:
        attempts -= 1
        try:
            return ray.init(**settings)
        except Exception as error:
            ray.shutdown()
            final = "address" in settings and "Initialization failure from server" not in str(error)
            if final or not attempts:
                raise
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)


def _line(error: Exception) -> str:
    """Ray's reason; its client puts the server's traceback in front of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    whole = lines[-1:] if "Traceback" in str(error) else lines
    return " ".join(whole).removesuffix(".")


def _cores() -> int:
    """Those that this process may use; a container or `taskset` may leave fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    """A folder for Ray's sockets, whose paths may have some 100 characters; macOS' own is too long.

    Those of killed sweeps go first: nobody holds their lock any more.
    """
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= 20 else "/tmp")  # noqa: S108
    for old in parent.glob("ray-sweep-*"):
        with contextlib.suppress(OSError, Timeout), FileLock(old / "owner", timeout=0):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="ray-sweep-", dir=parent))
    try:
        with FileLock(folder / "owner"):
            yield folder
    finally:
        for _ in range(10):  # Ray's processes may write their last lines meanwhile
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.2)
