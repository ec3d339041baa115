"""Commands of which one process may work at a time."""

import os
from pathlib import Path

import pytest

from pipeline.core.errors import ToolError
from pipeline.tools.locking import exclusive


def test_the_second_process_is_refused_and_learns_which_is_at_work(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "lock"
    expected = f"expected to be the only sweep here, got another one at work .process {os.getpid()}.. Wait"
    with (
        exclusive(lock, "sweep here"),
        pytest.raises(ToolError, match=expected),
        exclusive(lock, "sweep here", timeout=0.1),
    ):
        pytest.fail("two at work")
    with exclusive(lock, "sweep here"):
        pass
