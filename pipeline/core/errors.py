"""What can go wrong through input, and how it is said: what was expected, what came, what to do.

`python -m pipeline` prints these errors as they are and leaves with `exit_code`. Every other exception is a
defect of the program and keeps its traceback, unless it is the machine's (`pipeline.tools.os_errors`).
"""

import re
from pathlib import Path


class PipelineError(Exception):
    """Root of all errors that a person can do something about."""

    exit_code: int = 1


class ParamsError(PipelineError):
    """A value of params.yaml, or a command's argument, that cannot be worked with."""


class DataError(PipelineError):
    """A data file that is not what it should be."""


class DownloadError(PipelineError):
    """A data set that no source has. Exit code 75 (EX_TEMPFAIL of sysexits.h): trying later may help."""

    exit_code = 75


class ChangedError(PipelineError):
    """A stage's input that was edited while the stage ran."""


class RunError(PipelineError):
    """A run's folder that is missing, incomplete or another run's."""


class ToolError(PipelineError):
    """A tool around the pipeline that is missing or refuses: DVC, git, MLflow, Ray, a browser."""


class Interrupted(PipelineError):
    """A stop by a signal, after which the work can go on later. Exit code 128 + signal, as shells have it."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal


def without_login(text: str) -> str:
    """Remove the user names and passwords of addresses in a text."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def damaged(path: Path, finding: str) -> DataError:
    """Make the error of a file that the pipeline writes and can write again."""
    return DataError(f"{path}: {finding}. Run `dvc repro` to make it again.")
