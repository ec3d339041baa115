"""`verify` on the real pipeline, with forgeries that a study in miniature does not have."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import AUTHOR
from tests.hard.conftest import run_dvc, run_pipeline

pytestmark = pytest.mark.hard


def test_a_range_test_changed_and_recorded_is_found_by_training_all_again(study: Path) -> None:
    table = study / "range_test/range_test.csv"
    header, first, *rest = table.read_text().splitlines()
    changed = re.sub(r"(\d)$", lambda digit: str((int(digit[1]) + 1) % 10), first)
    table.write_text("\n".join([header, changed, *rest, ""]))
    assert run_dvc(study, "commit", "-f").returncode == 0
    for command in (["add", "-A"], [*AUTHOR, "commit", "-qm", "another number"]):
        subprocess.run(["git", *command], cwd=study, check=True, capture_output=True)

    drawn = run_pipeline(study, "verify", "--runs", "1", "--draw", "mine")
    every = run_pipeline(study, "verify", "--all")

    # Neither the runs nor the report made of that table are wrong: it takes the stage itself.
    assert "trains 1 of 2 runs again" in drawn.stdout
    assert every.returncode == 1, every.stdout
    assert "  range_test: dvc.lock says " in every.stderr
    assert "    range_test.csv: differs" in every.stderr
    assert "  runs/" not in every.stderr
