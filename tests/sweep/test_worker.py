"""Where a worker keeps its checkpoints; `train/test_train_stage.py` has one train."""

from pathlib import Path

import pytest

from pipeline import params
from pipeline.core.errors import ToolError
from pipeline.sweep.worker import SweepStudy, scratch_root
from tests.conftest import ROOT


def test_a_machine_without_the_repository_has_a_folder_of_this_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    study = SweepStudy(
        params.load(ROOT / "params.yaml"), {"files": {}}, str(tmp_path / "elsewhere"), None, 0.0
    )
    own = scratch_root(study)
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    assert scratch_root(study) == own  # and the next run's

    own.chmod(0o777)
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        scratch_root(study)
    own.rmdir()
    (tmp_path / "planted").mkdir(mode=0o700)
    own.symlink_to(tmp_path / "planted")
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        scratch_root(study)
