"""What can go wrong through input, and how it is said: what was expected, what came, what to do.

`python -m pipeline` prints these errors as they are and leaves with `exit_code`; what the machine refuses (a
full disk, a missing permission) is said in one line, too. Every other exception is a defect of the program
and keeps its traceback.
"""

import errno
import os
import re

EX_IOERR = 74
"""Exit code of sysexits.h for what the machine refuses."""


class PipelineError(Exception):
    """Root of all errors that a person can mend."""

    exit_code: int = 1


class ParamsError(PipelineError):
    """params.yaml, or a command's argument, holds something that cannot be worked with."""


class DataError(PipelineError):
    """A data file is not what it should be."""


class DownloadError(PipelineError):
    """No source delivered the data set. Exit code 75 (EX_TEMPFAIL of sysexits.h): trying later may help."""

    exit_code = 75


class RunError(PipelineError):
    """A run's folder is missing, incomplete or belongs to another run."""


class ToolError(PipelineError):
    """Something around the pipeline is missing or refuses: DVC, git, MLflow, Ray, a browser."""


class Interrupted(PipelineError):
    """The work was stopped by a signal and can go on later. Exit code 128 + signal, as shells have it."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal


def without_login(text: str) -> str:
    """A text without the user name and the password that addresses in it may hold."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


_REMEDIES = {
    errno.ENOSPC: "Make room, then run the same command again; what was finished is kept.",
    errno.EDQUOT: "Make room in the quota, then run the same command again; what was finished is kept.",
    errno.EROFS: "Mount it so that it can be written, or work in a copy elsewhere.",
    errno.EACCES: "Give this user the permission, or work in a copy elsewhere.",
    errno.EPERM: "Give this user the permission, or work in a copy elsewhere.",
    errno.EIO: "The disk failed: check it before anything else.",
    errno.EMFILE: "Allow more open files (`ulimit -n 4096`).",
    errno.ENAMETOOLONG: "Work in a folder with a shorter path.",
}


def describe_os_error(error: OSError) -> str:
    """What the machine refused, where, and what to do; empty if the error is none of the machine's kind.

    Such an error can come from any file operation, so it is put into words in one place and not in each.
    """
    number = error.errno
    if number is None:  # HDF5 has it in its text; numpy counts what it could write
        number = next((code for code in _REMEDIES if f"errno = {code}," in str(error)), None)
        if re.fullmatch(r"\d+ requested and \d+ written", str(error)):
            number = errno.ENOSPC
    if number not in _REMEDIES:
        return ""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{os.strerror(number)}. {_REMEDIES[number]}"
