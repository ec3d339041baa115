"""What stands in the way of a study, in the project's words or DVC's; tests/hard has whole rehearsals."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands.rehearse import rehearse
from pipeline.commands.repro import repro
from pipeline.core.errors import ParamsError, ToolError
from pipeline.params import reading
from pipeline.refine.command import refine
from pipeline.sweep.command import sweep
from tests.conftest import ROOT


@pytest.mark.parametrize(
    "command", [rehearse, repro, lambda: refine(3), sweep], ids=["rehearse", "repro", "refine", "sweep"]
)
def test_a_network_file_that_is_not_there_is_said_before_dvc_misses_it(
    command: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    reading.override(tmp_path / "params.yaml", {"network.file": "networks/none.py"})
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        ParamsError, match=r"^network\.file, networks/none\.py: expected .*, got: No such file"
    ):
        command()


def test_what_dvc_says_of_a_failure_stands_above(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (project / "dvc.yaml").open("a", encoding="utf-8") as file:
        file.write("\nplots: 1\n")

    with contextlib.chdir(project), pytest.raises(ToolError, match="the reason stands above"):
        rehearse()

    assert "dvc.yaml' is invalid" in capfd.readouterr().err
