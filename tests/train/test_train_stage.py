"""The train stage as a process: same bytes again, exact resume after every kind of end, clear errors."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import files, runs
from pipeline.params import reading
from tests.conftest import run_dvc, run_pipeline

RUN = ("train", "--learning_rate", "0.01", "--seed", "0", "data/scaled", "runs")
FOLDER = Path("runs/lr-0.01/seed-0")
LONG = 300


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    project = tmp_path / "copy"
    shutil.copytree(finished, project, symlinks=True)
    return project


def start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *RUN],
        cwd=folder,
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def lengthen(folder: Path, epochs: int) -> None:
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("epochs: 3", f"epochs: {epochs}"))


def test_a_run_has_the_files_and_the_numbers_that_the_contract_names(finished: Path) -> None:
    run = runs.read(finished / "runs", 0.01, 0)
    assert sorted(path.name for path in (finished / FOLDER).iterdir()) == [
        "history.csv",
        "metrics.json",
        "model.keras",
        "predictions.npy",
    ]
    assert list(run.history["epoch"]) == [1, 2, 3]
    assert run.metrics["final"]["val_loss"] == run.history["val_loss"].iloc[-1]
    assert run.metrics["arithmetic"] == "portable"
    best = run.metrics["best"]
    assert best["val_accuracy"] == run.history["val_accuracy"].max()
    assert run.metrics["kept"] == {"rule": "best_epoch", "epoch": best["val_accuracy_epoch"]}
    labels = np.load(finished / "data/scaled/test_labels.npy").argmax(axis=1)
    assert run.metrics["test"]["accuracy"] == pytest.approx((run.predictions == labels).mean())


def test_the_model_loads_with_plain_keras_and_predicts_what_is_stored(finished: Path) -> None:
    from pipeline import params
    from pipeline.train import backend

    # A process can be told its threads once, before its first computation; other tests may share it.
    backend.configure(params.load(finished / "params.yaml").train.threads)
    import keras

    model = keras.models.load_model(finished / FOLDER / "model.keras")
    scaled = finished / "data/scaled"
    stored = np.load(finished / FOLDER / "predictions.npy")
    predicted = model.predict(np.load(scaled / "test_inputs.npy"), verbose=0).argmax(axis=1)
    assert np.array_equal(predicted, stored)
    model.compile(metrics=["accuracy"], loss="categorical_crossentropy")
    inputs, labels = (np.load(scaled / f"validation_{what}.npy") for what in ("inputs", "labels"))
    _, accuracy = model.evaluate(inputs, labels, verbose=0)
    criterion = runs.read(finished / "runs", 0.01, 0).metrics["best"]["val_accuracy"]
    assert accuracy == pytest.approx(criterion, abs=1e-6)  # Keras' metrics are float32


WORKER = """
import json, sys
from pathlib import Path
from pipeline import params
from pipeline.core import network_files, run_keys
from pipeline.tracking import data
from pipeline.sweep import SweepRun, worker
from pipeline.core.errors import ToolError
from pipeline.core import task
from pipeline.train import examples

def attempt(rate, **others):
    study = worker.SweepStudy(settings, {**inputs, **others}, network, facts, str(Path.cwd()), None, 0.0)
    key = run_keys.key_of(inputs, rate, 0)
    return worker.train(study, content, SweepRun(rate, 0, key), posted.append)

settings = params.load()
inputs, posted = run_keys.inputs(settings.values()), []
scaled = Path("data/scaled")
network, facts = network_files.read(settings.network.file), data.read(scaled)
content = {part: examples.read(scaled, part, task.read(scaled)) for part in examples.PARTS}
refused = []
for wrong in ({"files": {**inputs["files"], "pipeline/train": "0" * 64}}, {"packages": ["keras==1.0"]}):
    try:
        attempt(0.01, **wrong)
    except ToolError as error:
        refused.append(str(error))
for rate, project in ((1e30, sys.argv[1]), (0.01, sys.argv[2])):
    for name, written in attempt(rate).files.items():
        (Path(project) / name).write_bytes(written)
print(json.dumps({"refused": refused, "posted": posted}))
"""


def test_a_worker_process_gives_the_stage_s_bytes_after_other_work_and_refuses_other_code(
    copy: Path, finished: Path, tmp_path: Path
) -> None:
    diverged, same = runs.folder(tmp_path, 1e30, 0), runs.folder(tmp_path, 0.01, 0)
    for folder in (diverged, same):
        folder.mkdir(parents=True)
    command = [sys.executable, "-c", WORKER, str(diverged), str(same)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert files.sha256(same) == files.sha256(finished / FOLDER)
    said = json.loads(done.stdout.splitlines()[-1])
    assert "expected the driver's code, got another version" in said["refused"][0]
    assert "expected keras==1.0, got keras 3" in said["refused"][1]
    assert [sorted(message) for message in said["posted"]].count(["run", "started"]) == 2
    # A rate that diverges is a result, too.
    run = runs.read(tmp_path, 1e30, 0)
    assert run.metrics["diverged_epoch"] == len(run.history) < 3
    assert run.metrics["test"] == {"loss": None, "accuracy": None}
    assert set(run.predictions) == {-1}
    assert run.metrics["kept"] == {"rule": "best_epoch", "epoch": None}
    json.loads((diverged / "metrics.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def uninterrupted(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A longer run that nothing interrupted."""
    project = tmp_path_factory.mktemp("uninterrupted") / "project"
    shutil.copytree(finished, project, symlinks=True)
    lengthen(project, LONG)
    assert run_pipeline(project, *RUN).returncode == 0
    return project


@pytest.mark.hard
def test_a_run_stopped_twice_keeps_its_checkpoint_and_comes_to_the_same_bytes(
    copy: Path, uninterrupted: Path
) -> None:
    lengthen(copy, LONG)
    for end in (signal.SIGTERM, signal.SIGINT):
        with start(copy) as process:
            wait_for_epochs(process)
            process.send_signal(end)
            process.communicate(timeout=60)
        assert process.returncode == 128 + end
        assert len(list((copy / ".scratch/checkpoints").glob("*.checkpoint"))) == 1
    again = run_pipeline(copy, *RUN)
    assert again.returncode == 0, again.stderr
    assert files.sha256(copy / FOLDER) == files.sha256(uninterrupted / FOLDER)
    assert not list((copy / ".scratch/checkpoints").glob("*.checkpoint"))


EDITING = """
from pathlib import Path
path = Path("params.yaml")
path.write_text(path.read_text().replace("batch_size: 128", "batch_size: 64"))
"""


@pytest.mark.parametrize(
    ("stage", "out"),
    [
        ("train@0.01-0", FOLDER),
        pytest.param("range_test", Path("range_test"), marks=pytest.mark.hard),
    ],
)
def test_a_stage_whose_parameters_are_edited_while_it_runs_leaves_nothing(
    copy: Path, stage: str, out: Path
) -> None:
    """The network edits params.yaml when it is loaded, as a person may at any moment."""
    network = (copy / "pipeline/networks/mlp.py").read_text()
    (copy / "pipeline/networks/editing.py").write_text(network + EDITING)
    reading.override(copy / "params.yaml", {"network.file": "pipeline/networks/editing.py"})
    lock = (copy / "dvc.lock").read_text()

    done = run_dvc(copy, "repro", "-s", stage)
    assert done.returncode != 0
    name = stage.partition("@")[0]
    said = f"error: train.batch_size: expected no edit while stage {name} ran, got one."
    assert next(line for line in done.stderr.splitlines() if line.startswith("error")).startswith(said)
    assert "Traceback" not in done.stderr
    assert not (copy / out).exists()
    assert (copy / "dvc.lock").read_text() == lock

    done = run_dvc(copy, "repro", "-s", stage)  # nothing is left to edit
    assert done.returncode == 0, done.stderr
    assert (copy / out).exists()


HOSTILE = {
    "KERAS_BACKEND": "jax",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "XLA_FLAGS": "--xla_no_such_flag",
}


def test_nothing_that_a_user_sets_for_the_libraries_changes_a_byte_of_a_run(
    copy: Path, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / ".keras").mkdir()
    settings = {"floatx": "float16", "epsilon": 0.01, "image_data_format": "channels_first", "backend": "jax"}
    (tmp_path / ".keras/keras.json").write_text(json.dumps(settings))
    shutil.rmtree(copy / FOLDER)
    done = run_pipeline(copy, *RUN, HOME=str(tmp_path), **HOSTILE)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert files.sha256(copy / FOLDER) == files.sha256(finished / FOLDER)


def test_training_ends_with_the_dvc_that_started_it(copy: Path) -> None:
    lengthen(copy, 1_000_000)
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-m', 'pipeline', *{RUN!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=copy,
        env=os.environ | {"DVC_STAGE": "train@0.01-0", "DVC_ROOT": str(copy)},
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        wait_for_epochs(parent)
        parent.kill()
    deadline = time.monotonic() + 60
    while not list((copy / ".scratch/checkpoints").glob("*.checkpoint")):  # the last thing that the run does
        assert time.monotonic() < deadline, "the training goes on without its parent"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--learning_rate", "0.5", "--seed", "0"), "learning rate 0.5: expected one of params.yaml's"),
        (("--learning_rate", "0.01", "--seed", "7"), "seed 7: expected one of params.yaml's"),
    ],
)
def test_a_run_that_params_do_not_configure_is_refused(
    finished: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run_pipeline(finished, "train", *arguments, "data/scaled", "runs")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def wait_for_epochs(process: subprocess.Popen[str]) -> None:
    """Until the first line of progress: the training is under way."""
    assert process.stderr
    for line in process.stderr:
        if "epoch" in line:
            return
    pytest.fail("the process ended before its first line of progress")
