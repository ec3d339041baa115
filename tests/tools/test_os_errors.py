"""What the machine refuses is one line with a way out; a defect keeps its traceback."""

import errno
import os

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
        (OSError(errno.EMFILE, "", "f"), "f: Too many open files. Allow more open files (`ulimit -n 4096`)."),
    ],
)
def test_what_the_machine_refuses_is_said(error: OSError, said: str) -> None:
    assert describe_os_error(error).startswith(said)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "", "x"), OSError("something else"), OSError("0 requested")]
)
def test_what_may_be_a_defect_is_left_alone(error: OSError) -> None:
    assert describe_os_error(error) == ""


def test_the_command_line_ends_with_the_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "full", "data/raw")

    monkeypatch.setattr("pipeline.download.stage.download", full)

    assert program.main(["download", "data/raw"]) == os.EX_IOERR == 74
    assert capsys.readouterr().err.startswith("error: data/raw: No space left on device.")


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "gone", "x")

    monkeypatch.setattr("pipeline.download.stage.download", broken)

    with pytest.raises(FileNotFoundError):
        program.main(["download", "data/raw"])
