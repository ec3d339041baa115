"""SIGKILL at 50 random moments over the whole pipeline; then all is complete and as it would have been."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.hard.conftest import PATIENCE, locked, md5, outputs, run_dvc, run_pipeline, start

pytestmark = pytest.mark.hard

KILLS = 50
STAGES = {
    "check": ("dvc", "repro", "-f", "-s", "check"),
    "download": ("dvc", "repro", "-f", "-s", "download"),
    "scale": ("dvc", "repro", "-f", "-s", "scale"),
    "train": ("dvc", "repro", "-f", "-s", "train@0.01-0"),
    "range_test": ("dvc", "repro", "-f", "-s", "range_test"),
    "report": ("dvc", "repro", "-f", "-s", "report"),
    "publish": ("pipeline", "publish"),
}


def kill_all(process: "subprocess.Popen[str]") -> str:
    """SIGKILL the process and all that it started, as when a machine's power goes; name what was at work."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        family = [*parent.children(recursive=True), parent]
        words = [word for member in family for word in _words(member)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
    process.wait()
    return next((name for name in STAGES if name in words), "dvc")


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        if "pipeline" in words:
            return words[words.index("pipeline") + 1 :][:1]
    return []


def strike(folder: Path, name: str, chance: random.Random, lasts: float) -> str | None:
    """Start a stage and kill it somewhere in its time; None if it was over before."""
    with start(folder, *STAGES[name]) as process:
        time.sleep(chance.uniform(0.1, lasts))
        return kill_all(process) if process.poll() is None else None


def recover(folder: Path) -> None:
    """Run `dvc repro`, or `make repro` where a kill left DVC helpless, with half of a file."""
    done = run_dvc(folder, "repro")
    if done.returncode != 0:
        assert "Unable to read RWLock-file" in done.stderr or "dvc.lock' " in done.stderr, done.stderr
        done = run_pipeline(folder, "repro")
        assert "which a killed DVC left half-written" in done.stderr
    assert done.returncode == 0, done.stderr + done.stdout


def test_fifty_kills_over_the_whole_pipeline_leave_no_trace(study: Path) -> None:
    chance = random.Random(20)
    expected = locked(study)
    lasts = {}
    for name, command in STAGES.items():
        began = time.monotonic()
        process = start(study, *command)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        lasts[name] = time.monotonic() - began
    assert outputs(study) == expected  # each stage, forced, makes the same bytes again

    struck: list[str] = []
    attempts = 0
    # A kill meets each stage but "check", which lasts a tenth of a second; that may take more than 50.
    while (missed := [name for name in STAGES if name not in {*struck, "check"}]) or len(struck) < KILLS:
        names = list(STAGES) if len(struck) < KILLS else missed
        name = names[attempts % len(names)]
        attempts += 1
        assert attempts < 4 * KILLS, f"stages end before they are killed: {struck}"
        if (what := strike(study, name, chance, lasts[name])) is not None:
            struck.append(what)
        if attempts % 10 == 0:
            recover(study)
            assert outputs(study) == expected, f"after {len(struck)} kills: {struck}"

    recover(study)
    assert outputs(study) == expected == locked(study)
    # Not only what DVC's cache remembers: trained once more, on whatever the killed processes left around.
    done = run_dvc(study, "repro", "-f", "--no-run-cache")
    assert done.returncode == 0, done.stderr + done.stdout
    assert outputs(study) == expected
    for path in (study / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file():
            assert md5(path) == (path.parent.name + path.name).removesuffix(".dir")
    assert not list((study / ".scratch/checkpoints").glob("*.checkpoint"))
    assert "up to date" in run_dvc(study, "status").stdout
    assert "dvc" in struck

    for _ in range(2):
        done = run_pipeline(study, "publish")
        assert done.returncode == 0, done.stderr + done.stdout
    assert "publish: 0 changed" in done.stdout
    assert _runs_in_mlflow(study) == {"lr-0.01 seed-0": ["FINISHED"], "lr-0.001 seed-0": ["FINISHED"]}


def _runs_in_mlflow(folder: Path) -> dict[str, list[str]]:
    """By name, the states of the runs that are shown, those that died before they had outputs left aside."""
    program = (
        "import json, sys\nfrom mlflow import MlflowClient\n"
        f"client = MlflowClient('sqlite:///{folder}/mlflow.db')\n"
        "ids = [e.experiment_id for e in client.search_experiments()]\n"
        "runs = [r for r in client.search_runs(ids) if r.data.tags.get('kind') == 'run']\n"
        "print(json.dumps([(r.info.run_name, r.info.status) for r in runs]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    statuses: dict[str, list[str]] = {}
    for name, status in json.loads(done.stdout.splitlines()[-1]):
        statuses.setdefault(name, []).append(status)
    return statuses
