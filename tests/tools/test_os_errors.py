"""What the machine refuses is one line with a way out; a defect keeps its traceback."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import __main__ as program
from pipeline.tools.os_errors import describe_os_error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "full", "runs/x"),
            "runs/x: No space left on device. Make room, then run the same command again; what was",
        ),
        (
            OSError("1097600 requested and 262112 written"),
            "No space left on device. Make room",
        ),  # numpy's words
        (
            OSError("Can't write data (file write failed: time = x, errno = 28, error message = 'No space')"),
            "No space left on device. Make room",  # HDF5's
        ),
        (OSError(errno.EROFS, "", "data"), "data: Read-only file system. Mount it so that it can be written"),
        (PermissionError(errno.EACCES, "", "a b"), "a b: Permission denied. Give this user the permission"),
        (OSError(errno.EIO, ""), "Input/output error. The disk failed: check it before anything else."),
        (
            ModuleNotFoundError("No module named 'ruamel'", name="ruamel"),
            f"{sys.executable}: expected the packages of requirements/runtime.txt, found no ruamel. Activate",
        ),
        (MemoryError(), "Out of memory. Give it more memory (the limit is that of `ulimit -v`, a container"),
        (
            ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
            "libtensorflow_cc.so.2: failed to map segment from shared object. Give it more memory",
        ),
        (OSError(errno.EMFILE, "", "f"), "f: Too many open files. Allow more open files (`ulimit -n 4096`)."),
    ],
)
def test_what_the_machine_refuses_is_said(error: Exception, said: str) -> None:
    assert describe_os_error(error).startswith(said)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "", "x"),
        OSError("something else"),
        OSError("0 requested"),
        ModuleNotFoundError("No module named 'pipeline.x'", name="pipeline.x"),
    ],
)
def test_what_may_be_a_defect_is_left_alone(error: Exception) -> None:
    assert describe_os_error(error) == ""


def test_the_command_line_ends_with_the_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "full", "data/raw")

    monkeypatch.setattr("pipeline.download.stage.download", full)

    assert program.main(["download", "data/raw"]) == os.EX_IOERR == 74
    assert capsys.readouterr().err.startswith("error: data/raw: No space left on device.")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone limits a process' addresses")
def test_a_training_without_memory_for_its_libraries_says_so(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    run = ("--learning_rate", "0.01", "--seed", "0", "data/scaled", "runs")
    command = [sys.executable, "-m", "pipeline", "train", *run]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 1000000 && exec "$@"', "sh", *command],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == os.EX_IOERR
    assert "Traceback" not in done.stderr
    assert "Give it more memory" in done.stderr


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "x")

    monkeypatch.setattr("pipeline.download.stage.download", broken)

    with pytest.raises(FileNotFoundError):
        program.main(["download", "data/raw"])
