"""Signals that ask the process to stop, as they come in numbers and from all sides."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

STAGE = """
import sys, time
from pathlib import Path
from pipeline.train.signals import deferred
with deferred() as interruption:
    Path("started").touch()
    while interruption.signal is None:
        time.sleep(0.01)
    time.sleep(float(sys.argv[1]))  # the rest of a long epoch
    Path("saved").write_text(str(int(interruption.signal)))
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


@pytest.mark.parametrize("whole_group", [True, False], ids=["the whole group", "the parent alone"])
def test_a_signal_lets_the_epoch_end_also_where_the_parent_went(tmp_path: Path, whole_group: bool) -> None:
    """As when a batch system or an init system stops DVC and what DVC started."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, STAGE, "2"],
        cwd=tmp_path,
        env=os.environ | {"DVC_STAGE": "train@0.1-0", "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    wait_for(tmp_path / "started")
    if whole_group:
        os.killpg(parent.pid, signal.SIGTERM)
    else:
        parent.kill()
    parent.wait()
    wait_for(tmp_path / "saved")
    assert (tmp_path / "saved").read_text() == str(int(signal.SIGTERM))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or (path.name == "saved" and not path.read_text()):
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.05)
