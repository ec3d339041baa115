"""Command `sweep`: what it keeps when it breaks off, and the options that it refuses."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.sweep import command, driver
from pipeline.sweep.dvc_stages import Plan, Stages
from pipeline.verify import lockfile
from tests.conftest import ROOT, environment, run_pipeline
from tests.sweep.conftest import FILES

STUDY = SimpleNamespace(values=dict, network=SimpleNamespace(file="nets/mine.py"))

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def test_a_run_that_was_finished_is_recorded_when_the_sweep_breaks_off(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "code.py").write_text("second\n")
    before = lockfile.outputs(lockfile.read(study / lockfile.FILE))

    def break_off(
        _study: object,
        _inputs: object,
        _network: object,
        stages: Stages,
        plan: Plan,
        _options: object,
        _interruption: object,
    ) -> None:
        stage = plan.stale[0]
        driver.write_run(stage.folder, FILES | {"model.keras": b"new"})
        stages.commit(stage)
        raise ConnectionError("Ray left")

    monkeypatch.setattr(command.params, "load", lambda: STUDY)
    monkeypatch.setattr(command.params, "watch", lambda _: lambda: None)
    monkeypatch.setattr(command.run_keys, "inputs", lambda _: {})
    monkeypatch.setattr(command.cluster, "require", lambda: None)
    monkeypatch.setattr(command.driver, "train_stale", break_off)

    with pytest.raises(ConnectionError):
        command.sweep()

    after = lockfile.outputs(lockfile.read(study / lockfile.FILE))
    assert [path for path, md5 in after.items() if md5 != before[path]] == ["runs/lr-0.1/seed-0"]


SWEEP = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
from pipeline.__main__ import main
sys.exit(main())
"""
SLOW = "import pathlib, time\npathlib.Path('began').touch()\ntime.sleep(300)\n"


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        pytest.param("scale", signal.SIGINT, id="Ctrl-C before the runs"),
        pytest.param("report", signal.SIGINT, id="Ctrl-C after them", marks=pytest.mark.hard),
        pytest.param("report", signal.SIGTERM, id="SIGTERM", marks=pytest.mark.hard),
    ],
)
def test_a_signal_while_dvc_runs_a_stage_is_no_failure(
    finished: Path, tmp_path: Path, stage: str, number: signal.Signals
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))
    code = study / f"pipeline/{stage}/stage.py"
    code.write_text(code.read_text().replace("from pathlib", f"{SLOW}from pathlib", 1))
    with subprocess.Popen(
        [sys.executable, "-c", SWEEP, "sweep"],
        cwd=study,
        env=environment({}),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not (study / "began").exists():
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, number)  # as a terminal and a batch system do
        _, said = process.communicate()
    assert process.returncode == 128 + number, said
    assert f"error: Stopped by signal {number:d}. Finished runs are recorded" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cpus-per-run", "0"], "expected a number above 0, got 0"),
        (["--cpus-per-run", "x"], "expected a number above 0, got x"),
        (["--gpus-per-run", "x"], "expected a share from 0 to 1, or a whole number, got x"),
        (["--gpus-per-run", "inf"], "expected a share from 0 to 1, or a whole number, got inf"),
        (["--max-concurrent", "1.5"], "expected a whole number of at least 1, got 1.5"),
        (["--gpus-per-run", "1.5"], "expected a share from 0 to 1, or a whole number, got 1.5"),
        (["--max-concurrent", "0"], "expected a whole number of at least 1, got 0"),
    ],
)
def test_options_that_cannot_be_are_refused(arguments: list[str], said: str) -> None:
    done = run_pipeline(ROOT, "sweep", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
