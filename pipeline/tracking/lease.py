"""Which process delivers a run, and whether it is still alive: kept in a tag of the run."""

import json
import os
import platform
import time
from typing import NamedTuple, Self

import psutil

TAG = "tracker"
BEAT = 20.0
"""Seconds between two signs of life."""

_SILENCE = 180.0
"""Seconds without a sign after which a process on another machine counts as dead; clocks may differ a bit."""

_ROUNDING = 2.0
"""Seconds by which a process's start may be told differently; some systems keep it in coarse steps."""


class Owner(NamedTuple):
    """Attributes:

    host: the machine and, on Linux, the space in which its process numbers count (containers have others).
    started: when the process began: numbers are used again, after a restart of the machine for one.
    seen: its last sign of life. Both in seconds since 1970.
    """

    host: str
    pid: int
    started: float
    seen: float

    @classmethod
    def myself(cls) -> Self:
        return cls(_host(), os.getpid(), psutil.Process().create_time(), time.time())

    @classmethod
    def read(cls, tags: dict[str, str]) -> Self | None:
        """The owner that a run's tags name; None if there is none, or nothing that can be read."""
        try:
            return cls(**json.loads(tags[TAG]))
        except (KeyError, TypeError, ValueError):
            return None

    def tag(self) -> str:
        return json.dumps(self._asdict())

    def is_alive(self) -> bool:
        if self.host != _host():
            return time.time() - self.seen < _SILENCE
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < _ROUNDING
        except psutil.Error:
            return False

    def is_me(self) -> bool:
        return (self.host, self.pid) == (_host(), os.getpid())


def _host() -> str:
    try:
        return f"{platform.node()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path that exists
    except OSError:
        return platform.node()
