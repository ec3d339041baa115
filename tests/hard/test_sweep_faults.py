"""Sweeps in bad circumstances: Ctrl-C, SIGTERM, failing runs, others at work."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params import reading
from tests.conftest import listening
from tests.hard.conftest import (
    EPOCHS,
    PATIENCE,
    RUNS,
    checkpoints,
    md5,
    run_dvc,
    run_pipeline,
    start,
    wait_for,
)

pytestmark = pytest.mark.hard


def test_ctrl_c_keeps_what_is_done_and_the_next_sweep_does_the_rest(untrained: Path) -> None:
    reading.override(untrained / "params.yaml", {"train.epochs": 2 * EPOCHS})
    process = start(untrained, "pipeline", "sweep", "--max-concurrent", "1")
    wait_for(lambda: list(untrained.glob("runs/*/*/metrics.json")) and checkpoints(untrained), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers see it too
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Finished runs are recorded, the others keep their checkpoints" in said
    assert "Traceback" not in said
    done = len(list(untrained.glob("runs/*/*/metrics.json")))
    assert 0 < done < RUNS
    assert (untrained / "dvc.lock").read_text().count("train@") == done
    assert checkpoints(untrained)
    again = run_pipeline(untrained, "sweep")
    assert again.returncode == 0, again.stderr
    assert f"sweep: {done} runs up to date, 0 in DVC's run cache, {RUNS - done} to train" in again.stderr
    assert not checkpoints(untrained)
    before = (untrained / "dvc.lock").read_text()
    interrupted = ("train@0.01-0", "train@0.01-1", "train@0.001-0", "train@0.001-1")[done]
    assert run_dvc(untrained, "repro", "-f", "-s", interrupted).returncode == 0
    assert (untrained / "dvc.lock").read_text() == before


def test_sigterm_does_as_much_and_until_then_nothing_listens_beyond_this_machine(untrained: Path) -> None:
    reading.override(untrained / "params.yaml", {"train.epochs": 100 * EPOCHS})
    process = start(untrained, "pipeline", "sweep")
    wait_for(lambda: checkpoints(untrained), process)
    addresses = listening(process.pid)
    process.terminate()
    said, _ = process.communicate(timeout=PATIENCE)
    assert addresses
    assert addresses <= {"127.0.0.1", "::1"}
    assert process.returncode == 143, said
    assert "Finished runs are recorded, the others keep their checkpoints" in said
    assert checkpoints(untrained)


def test_an_edit_during_a_sweep_is_no_claim_of_the_runs_that_it_trains(untrained: Path) -> None:
    """The network edits params.yaml when a worker loads it."""
    network = untrained / "pipeline/networks/mlp.py"
    path, before = untrained / "params.yaml", (untrained / "params.yaml").read_text()
    network.write_text(
        network.read_text() + f"from pathlib import Path\npath = Path({str(path)!r})\n"
        "path.write_text(path.read_text().replace('batch_size: 128', 'batch_size: 64'))\n"
    )
    done = run_pipeline(untrained, "sweep")
    assert done.returncode != 0
    assert "expected what the present parameters, data and code give, got what others gave" in done.stderr
    assert path.read_text() != before
    stages = YAML(typ="safe").load(untrained / "dvc.lock")["stages"]
    claimed = [stages[name]["params"]["params.yaml"] for name in stages if name.startswith("train@")]
    assert [values["train.batch_size"] for values in claimed] == [128] * RUNS
    assert "train.batch_size" in run_dvc(untrained, "status").stdout

    done = run_dvc(untrained, "repro")
    assert done.returncode == 0, done.stderr


def test_a_run_that_fails_does_not_stop_the_others(untrained: Path) -> None:
    code = untrained / "pipeline/train/runner.py"
    code.write_text(
        code.read_text().replace(
            "        checkpoint = Checkpoint(run_key, self.processor)\n",
            "        import os\n"
            "        if os.environ.get('FAIL') == f'{learning_rate} {seed}':\n"
            "            raise ValueError('no more memory on this planet')\n"
            "        checkpoint = Checkpoint(run_key, self.processor)\n",
        )
    )
    done = run_pipeline(untrained, "sweep", FAIL="0.001 1")
    assert done.returncode == 1
    assert "sweep: 1 runs failed; the others are done and recorded." in done.stderr
    assert "learning rate 0.001, seed 1: ValueError: no more memory on this planet" in done.stderr
    assert len(list(untrained.glob("runs/*/*/metrics.json"))) == RUNS - 1
    assert not (untrained / "report/verdict.json").exists()
    again = run_pipeline(untrained, "sweep")
    assert again.returncode == 0, again.stderr
    assert f"{RUNS - 1} runs up to date, 0 in DVC's run cache, 1 to train" in again.stderr
    assert "up to date" in run_dvc(untrained, "status").stdout


def test_outputs_that_cannot_be_written_fail_their_run_alone(untrained: Path) -> None:
    (untrained / "runs").mkdir()
    (untrained / "runs/lr-0.01").write_text("in the way")
    done = run_pipeline(untrained, "sweep")
    assert done.returncode == 1
    assert done.stderr.count("it could not be written") == 2
    assert len(list(untrained.glob("runs/*/*/metrics.json"))) == RUNS - 2


def test_a_sweep_beside_dvc_repro_says_so_and_breaks_nothing(untrained: Path) -> None:
    reading.override(untrained / "params.yaml", {"train.epochs": 2000, "train.learning_rates": [0.01]})
    assert run_dvc(untrained, "repro", "scale").returncode == 0
    repro = start(untrained, "dvc", "repro", "train@0.01-0")
    wait_for(lambda: busy(untrained), repro)
    done = run_pipeline(untrained, "sweep")
    assert done.returncode == 1
    assert "expected nobody else at work on these runs" in done.stderr
    assert "Wait for that process, or end it" in done.stderr
    repro.terminate()
    repro.communicate(timeout=PATIENCE)


def busy(folder: Path) -> bool:
    """Whether DVC notes that somebody writes a run."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # DVC may be writing it just now
        writers = json.loads((folder / ".dvc/tmp/rwlock").read_text()).get("write", {})
        return any("seed-0" in path for path in writers)
    return False


def test_hashes_are_of_what_lies_there(trained: Path, tmp_path: Path) -> None:
    """`assert_same` would see a changed byte."""
    run = trained / "runs/lr-0.01/seed-0"
    changed = Path(shutil.copytree(run, tmp_path / "changed"))
    assert md5(changed) == md5(run)
    (changed / "history.csv").write_bytes((run / "history.csv").read_bytes() + b"\n")
    assert md5(changed) != md5(run)
