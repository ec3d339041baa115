"""A run that goes on from a checkpoint: whose it may be, and what is shown of it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import Interrupted
from pipeline.core.network_files import NetworkFile
from pipeline.train.progress import Progress
from pipeline.train.runner import Runner
from pipeline.train.signals import Interruption
from tests.train.samples import CNN, MLP, RATE, SEED, TEST, TRAIN, VALIDATION, study, task_of

EXAMPLES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


def runner(file: NetworkFile, values: dict[str, Any], **settings: Any) -> Runner:
    return Runner(study(values, train=settings), file, task_of(TRAIN), EXAMPLES.__getitem__)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' saving
def test_a_run_that_goes_on_shows_the_epochs_and_the_time_of_this_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr("pipeline.train.progress._EVERY", 0.0)
    trained, interruption = runner(MLP, {"hidden_units": 4}, epochs=6), Interruption()

    def run(last: int) -> None:
        progress = Progress("run", 6, 0)

        def on_epoch(epoch: int, measures: Any) -> None:
            progress.update(epoch, measures)
            interruption.signal = 15 if epoch == last else None

        folder = tmp_path / "run"
        trained.run(RATE, SEED, "key", folder, interruption, on_epoch, on_start=progress.start)

    with pytest.raises(Interrupted):
        run(last=3)
    capsys.readouterr()
    run(last=0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"run: epoch {epoch}/6" for epoch in (4, 5, 6)]
    assert ["left" in line for line in lines] == [
        False,
        True,
        False,
    ]  # the first one's time holds the tracing


@pytest.mark.hard
def test_a_checkpoint_is_that_of_as_many_threads_where_they_change_the_bits() -> None:
    portable = {runner(MLP, {"hidden_units": 4}, threads=threads).processor for threads in (1, 2)}
    assert len(portable) == 1
    convolutional = {runner(CNN, {"filters": 2}, threads=threads).processor for threads in (1, 2)}
    assert len(convolutional) == 2
