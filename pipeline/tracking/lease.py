"""Which process sends a run to MLflow, and whether it is still alive: kept in a tag of the run."""

import json
import os
import platform
import time
from collections.abc import Mapping
from typing import NamedTuple, Self

import psutil

TAG = "tracker"
RENEWAL = 20.0  # seconds between two signs of life
_SILENCE = 180.0  # seconds without one after which a process elsewhere is dead; clocks may differ a bit
_ROUNDING = 2.0  # seconds by which two readings of a process's start may differ; some systems round it


class Lease(NamedTuple):
    """A process's claim on a run; times in seconds since 1970."""

    host: str  # the machine and, on Linux, the namespace in which process ids count: containers have others
    pid: int
    started: float  # distinguishes processes with the same id
    seen: float  # the last sign of life

    @classmethod
    def of_this_process(cls) -> Self:
        return cls(_host(), os.getpid(), psutil.Process().create_time(), time.time())

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> Self | None:
        """Read the lease in a run's tags; None if there is none, or none that can be read."""
        try:
            return cls(**json.loads(tags[TAG]))
        except (KeyError, TypeError, ValueError):
            return None

    def tag(self) -> dict[str, str]:
        return {TAG: json.dumps(self._asdict())}

    def is_alive(self) -> bool:
        if self.host != _host():
            return time.time() - self.seen < _SILENCE
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < _ROUNDING
        except psutil.Error:
            return False

    def is_mine(self) -> bool:
        return (self.host, self.pid) == (_host(), os.getpid())


def _host() -> str:
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path that exists
    except OSError:
        return platform.node()
