"""The driver: the cores of a run, and its folder."""

from pathlib import Path

import pytest

from pipeline import params
from pipeline.core.errors import ToolError
from pipeline.sweep import driver
from pipeline.sweep.engine import Engine, Options
from tests.conftest import ROOT
from tests.sweep.conftest import FILES, Machines


def test_a_run_s_folder_appears_whole_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/lr-0.1/seed-0")
    folder.mkdir(parents=True)
    (folder / "old").touch()
    driver.write_run(folder, FILES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["seed-0"]


def test_what_this_machine_can_never_take_is_refused_and_a_cluster_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = params.load(ROOT / "params.yaml")
    wanted = Options(None, None, 1.0)
    with pytest.raises(ToolError, match=r"1 GPU\(s\) for a run: expected at most the 8 cores and 0 GPU\(s\)"):
        driver.sized(Engine(Machines((8, 0)), "", local=True), study, wanted)
    driver.sized(Engine(Machines((8, 0)), "", local=False), study, wanted)
    assert "no machine of the cluster has" in capsys.readouterr().err


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 2), (3, 2), (16, 9), (64, 33)])
def test_on_this_machine_one_run_more_goes_on_than_its_cores_hold(cores: int, at_once: int) -> None:
    study = params.load(ROOT / "params.yaml")
    assert study.train.threads == 2
    chosen = driver.sized(Engine(Machines((cores, 0)), "", local=True), study, Options())
    assert chosen.cpus_per_run
    assert cores // chosen.cpus_per_run == at_once
    elsewhere = driver.sized(Engine(Machines((cores, 0)), "", local=False), study, Options())
    assert elsewhere.cpus_per_run == 2
