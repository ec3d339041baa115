"""The machine as a process sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tools import machine

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
COUNT = "from pipeline.tools import machine; print(machine.usable_cores())"


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("100000 100000", 1), ("10000 100000", 1), ("6400000 100000", CORES), ("max 100000", CORES)],
)
def test_a_container_s_share_of_the_cores_is_what_may_be_used(tmp_path: Path, limit: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount --bind "$1" /sys/fs/cgroup && shift && exec "$@"',
        "sh",
    ]
    try:
        subprocess.run([*command, tmp_path, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root on Linux, to mount a container's cgroup")
    done = subprocess.run(
        [*command, tmp_path, sys.executable, "-c", COUNT], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) == cores


def test_cores_that_taskset_forbids_are_none() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("Linux alone can forbid cores")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
