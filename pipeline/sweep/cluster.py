"""Ray's cluster: one of this machine's cores alone, or one that is there already."""

# ruff: noqa: TID251 - the only importer of Ray

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import pipeline
from pipeline.core.errors import ToolError
from pipeline.sweep.engine import Engine
from pipeline.tools import machine

_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a run without a share of a GPU sees none
    "RAY_worker_niceness": "0",  # as `dvc repro` trains; Ray's own choice is 15
}
_ATTEMPTS = 3
"""Ray gives its own processes 30 s to start, which a busy machine may not manage."""


def require() -> None:
    """Check that Ray is installed, without importing it.

    Raises:
        ToolError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise ToolError(
            "expected Ray to be installed, found none. `make sweep` installs it; by hand: "
            "`pip install --require-hashes -r requirements/ray.txt`. `dvc repro` needs no Ray."
        )


@contextlib.contextmanager
def connect(address: str | None, data_bytes: int) -> Iterator[Engine]:
    """Start a cluster on this machine, or join the one at `address`; leave it in the end.

    A cluster started here listens on 127.0.0.1 alone and wants a token that only its processes know.

    Args:
        address: as in `engine.Options`.
        data_bytes: what the object store must hold at least.

    Raises:
        ToolError: there is no cluster at the address, or this machine cannot start one.
    """
    os.environ.update(_VARIABLES)  # Ray reads them when it is imported
    settings: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    with contextlib.ExitStack() as stack:
        if address is None:
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch for 127.0.0.1, on Linux too
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
            settings |= {
                "address": "local",  # whatever RAY_ADDRESS says, which is set on a cluster's machines
                "num_cpus": machine.usable_cores(),
                "include_dashboard": False,
                "object_store_memory": max(200_000_000, 3 * data_bytes),
                "_temp_dir": stack.enter_context(_short_folder()),
            }
        else:
            package = str(Path(pipeline.__file__).parent)
            settings |= {"address": address, "runtime_env": {"py_modules": [package], "env_vars": _VARIABLES}}
        import ray

        try:
            context = _start(ray, settings)
        except Exception as error:
            remedy = (
                "Check --address, and that every machine has the packages of requirements/ray.txt; without "
                "--address the sweep uses this machine."
                if address
                else "Ray gives up on a machine that is too busy to start it: try again later, or use "
                "`dvc repro`, which needs no Ray."
            )
            raise ToolError(
                f"Ray on {address or 'this machine'}: expected a cluster, got: {_reason(error)}. {remedy}"
            ) from error
        stack.callback(ray.shutdown)
        yield Engine(ray, getattr(context, "dashboard_url", "") or "", address is None)


def _start(ray: Any, settings: dict[str, Any]) -> Any:
    """Call `ray.init`, again if it fails here, or if a cluster elsewhere answers that it failed itself.

    It makes SIGTERM end the process at once; what was to happen then stays in force instead.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    attempts = _ATTEMPTS
    while True:
        attempts -= 1
        try:
            return ray.init(**settings)
        except Exception as error:
            ray.shutdown()
            final = settings["address"] != "local" and "Initialization failure from server" not in str(error)
            if final or not attempts:
                raise
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)


def _reason(error: Exception) -> str:
    """Pick Ray's reason; its client puts the server's traceback in front of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    return " ".join(lines[-1:] if "Traceback" in str(error) else lines).removesuffix(".")


@contextlib.contextmanager
def _short_folder() -> Iterator[str]:
    """Make a folder for Ray's sockets, whose paths may have some 100 characters: macOS' own is too long.

    Those of sweeps that are gone, killed perhaps, are removed first: nobody holds their lock.
    """
    parent = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) <= 20 else "/tmp")  # noqa: S108
    for old in parent.glob("ray-sweep-*"):
        with contextlib.suppress(OSError, Timeout), FileLock(old / "lock", timeout=0):
            shutil.rmtree(old, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="ray-sweep-", dir=parent, ignore_cleanup_errors=True) as folder,
        FileLock(Path(folder) / "lock"),
    ):
        yield folder
