"""A checkpoint is what was saved, or none: damaged, another run's or another processor's are not read."""

import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.train.checkpoints import Checkpoint, State
from tests.core.conftest import flipped

ROWS = [{"loss": epoch + 1 / 3, "val_loss": np.inf, "dead_units_block.a": 1 / 7} for epoch in (1, 2)]
VARIABLES = [
    np.arange(12, dtype=np.float32).reshape(4, 3),
    np.array(7, np.int64),
    np.array([3, 0], np.uint32),
    np.float32([0.5]),
]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    saved = Checkpoint("run", "processor")
    saved.save(State(ROWS, VARIABLES, VARIABLES[:2]))
    return saved


def test_a_checkpoint_comes_back_to_its_run_and_processor_alone(checkpoint: Checkpoint) -> None:
    state = checkpoint.load()
    assert state is not None
    assert state.rows == ROWS
    for values, expected in ((state.variables, VARIABLES), (state.kept, VARIABLES[:2])):
        assert [value.dtype for value in values] == [value.dtype for value in expected]
        assert all(map(np.array_equal, values, expected))
        assert len(values) == len(expected)
    other = Checkpoint("another run", "processor")
    assert other.load() is None
    other.path.write_bytes(checkpoint.path.read_bytes())
    assert other.load() is None
    assert Checkpoint("run", "another processor").load() is None


def test_a_checkpoint_in_which_a_bit_flipped_counts_as_none(checkpoint: Checkpoint) -> None:
    content = checkpoint.path.read_bytes()
    for damaged in flipped(content):
        checkpoint.path.write_bytes(damaged)
        assert checkpoint.load() is None


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, np.zeros((1, 5)), *VARIABLES)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", archive()], ids=["nothing", "a text", "an archive"]
)
def test_another_file_counts_as_none(checkpoint: Checkpoint, content: bytes) -> None:
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() is None


def test_half_a_checkpoint_and_a_folder_in_its_path_count_as_none(checkpoint: Checkpoint) -> None:
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(content[: len(content) // 2])
    assert checkpoint.load() is None
    checkpoint.remove()
    assert checkpoint.load() is None
    checkpoint.path.mkdir()
    assert checkpoint.load() is None
