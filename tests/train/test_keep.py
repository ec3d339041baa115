"""Which epoch's network a run keeps: judged, saved and tested are one and the same."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.core import files, runs
from pipeline.core.errors import ChangedError, Interrupted, ParamsError
from pipeline.train.runner import Runner
from pipeline.train.signals import Interruption
from tests.train.samples import TEST, TRAIN, examples, scaled, sequential, study, task_of

NETWORK = sequential(
    "layers.Flatten()", "layers.Dense(8, activation='relu')", "layers.BatchNormalization(momentum=0.5)",
    "layers.Dropout(0.3, seed=seed)",
)  # fmt: skip
HELD_OUT = examples(15, 1)  # so few that epochs are often equally good
EPOCHS, RATE, SEED = 12, 0.03, 2

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' saving
    pytest.mark.usefixtures("_scratch"),
]


@pytest.fixture
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def runner(keep: str) -> Runner:
    settings = study(train={"epochs": EPOCHS, "keep": keep})
    parts = {"train": TRAIN, "validation": HELD_OUT, "test": TEST}
    return Runner(settings, NETWORK, task_of(TRAIN, len(HELD_OUT.labels)), parts.__getitem__)


def run(trained: Runner, folder: Path, *, rate: float = RATE, stop: int | None = None) -> Any:
    """Train; after epoch `stop`, as if a signal had come."""
    interruption = Interruption()

    def on_epoch(epoch: int, _: object) -> None:
        interruption.signal = 15 if epoch == stop else interruption.signal

    trained.run(rate, SEED, "run", folder, interruption, on_epoch)
    metrics = json.loads((folder / runs.METRICS).read_text())
    history = np.genfromtxt(folder / runs.HISTORY, delimiter=",", names=True)
    return metrics, history


def loaded(folder: Path, part: Any) -> np.ndarray:
    """The classes that plain Keras predicts."""
    model = keras.models.load_model(folder / runs.MODEL)
    return model.predict(scaled(part.inputs), verbose=0).argmax(axis=1)


@pytest.mark.parametrize("keep", ["best_epoch", "last_epoch"])
def test_the_epoch_that_is_judged_is_saved_and_tested(tmp_path: Path, keep: str) -> None:
    metrics, history = run(runner(keep), tmp_path / "run")
    accuracies = history["val_accuracy"].tolist()
    best = max(accuracies)
    epoch = accuracies.index(best) + 1 if keep == "best_epoch" else EPOCHS
    assert accuracies.count(best) > 1  # of equals, the first
    assert accuracies[-1] < best
    assert metrics["kept"] == {"rule": keep, "epoch": epoch}
    assert metrics["best"]["val_accuracy_epoch"] == accuracies.index(best) + 1
    held_out = HELD_OUT.labels.argmax(axis=1)
    assert (loaded(tmp_path / "run", HELD_OUT) == held_out).mean() == accuracies[epoch - 1]
    predictions = np.load(tmp_path / "run" / runs.PREDICTIONS)
    assert predictions.dtype == np.int32
    assert np.array_equal(loaded(tmp_path / "run", TEST), predictions)
    assert metrics["test"]["accuracy"] == (predictions == TEST.labels.argmax(axis=1)).mean()


@pytest.mark.parametrize("keep", ["best_epoch", "last_epoch"])
def test_the_kept_epoch_survives_an_interruption_before_it_and_after_it(tmp_path: Path, keep: str) -> None:
    first, other = runner(keep), runner(keep)
    metrics, _ = run(first, tmp_path / "whole")
    best = metrics["best"]["val_accuracy_epoch"]
    assert 1 < best < EPOCHS - 1
    for stop in (best - 1, best, best + 1, EPOCHS):  # at the last one, while its folder is being written
        with pytest.raises(Interrupted, match=rf"^Stopped by signal 15 after epoch {stop} of 12; the same"):
            run(first, tmp_path / "again", stop=stop)
        assert not (tmp_path / "again").exists()
        run(other, tmp_path / "again")
        assert files.sha256(tmp_path / "again") == files.sha256(tmp_path / "whole")
        files.shutil.rmtree(tmp_path / "again")
    assert not list((tmp_path / ".scratch/checkpoints").iterdir())


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_that_diverged_keeps_no_epoch_and_predicts_nothing(tmp_path: Path, interrupted: bool) -> None:
    """Also where its first epoch was fine: there is no rate to recommend that network with."""
    trained = runner("best_epoch")
    if interrupted:  # in its last epoch
        last = run(trained, tmp_path / "whole", rate=1e30)[0]["epochs"]
        with pytest.raises(Interrupted):
            run(trained, tmp_path / "run", rate=1e30, stop=last)
    metrics, history = run(trained, tmp_path / "run", rate=1e30)
    assert not np.isfinite(history["val_loss"].ravel()[-1])
    assert metrics["kept"] == {"rule": "best_epoch", "epoch": None}
    assert metrics["diverged_epoch"] == metrics["epochs"] == history.size
    assert metrics["test"] == {"loss": None, "accuracy": None}
    assert set(np.load(tmp_path / "run" / runs.PREDICTIONS)) == {-1}


def test_an_edit_ends_the_run_at_its_next_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.checkpoints.INTERVAL", 0.0)
    epochs = list[int]()

    def check() -> None:
        raise ChangedError("an edit")

    def on_epoch(epoch: int, _: object) -> None:
        epochs.append(epoch)

    trained = runner("last_epoch")
    with pytest.raises(ChangedError):
        trained.run(RATE, SEED, "run", tmp_path / "run", Interruption(), on_epoch, check)
    assert epochs == [1]
    assert not (tmp_path / "run").exists()
    run(trained, tmp_path / "run")  # from the checkpoint, if the edit was taken back
    assert len(list((tmp_path / "run").iterdir())) == 4


def test_a_batch_of_more_examples_than_there_are_is_refused() -> None:
    settings = study(train={"batch_size": 151})
    parts = {"train": TRAIN, "validation": HELD_OUT, "test": TEST}
    with pytest.raises(ParamsError) as caught:
        Runner(settings, NETWORK, task_of(TRAIN), parts.__getitem__)
    assert str(caught.value) == (
        "train.batch_size: expected at most the 150 training examples, got 151. Change it in params.yaml."
    )
