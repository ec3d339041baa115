"""`python -m pipeline <command>`: the stages as dvc.yaml calls them, and commands for people."""

import argparse
import contextlib
import getpass
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pipeline.core import isolation
from pipeline.core.errors import PipelineError
from pipeline.tools import exit_codes
from pipeline.tools.os_errors import describe_os_error

Number = TypeVar("Number", int, float)


Argument = tuple[tuple[str, ...], dict[str, Any]]
"""What `ArgumentParser.add_argument` takes."""


class Command(NamedTuple):
    """A command: the function of its name in `module`, loaded when called, with its arguments by name.

    Loading late matters: TensorFlow, MLflow and Ray take seconds that `--help` and the report can do without.

    Attributes:
        help: a line; None leaves the command out of the list, since no person calls it.
    """

    module: str
    help: str | None
    arguments: tuple[Argument, ...] = ()


def _number(
    read: Callable[[str], Number], is_right: Callable[[Number], bool], expected: str
) -> Callable[[str], Number]:
    """Make an argument's type that says what was expected."""

    def convert(text: str) -> Number:
        with contextlib.suppress(ValueError):
            if is_right(value := read(text)):
                return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")

    return convert


_above_zero = _number(float, lambda value: 0 < value < float("inf"), "a number above 0")
_share = _number(
    float,
    lambda value: 0 <= value <= 1 or (value > 0 and value.is_integer()),
    "a share from 0 to 1, or a whole number",
)
_count = _number(int, lambda value: value >= 1, "a whole number of at least 1")
_port = _number(int, lambda value: 0 <= value < 1 << 16, "a port from 0 (any free one) to 65535")


def _argument(*names: str, **options: Any) -> Argument:
    return names, options


def _paths(*names: str) -> tuple[Argument, ...]:
    return tuple(_argument(name, type=Path) for name in names)


_RUN = (
    _argument("--learning_rate", type=float, required=True),  # spelled as DVC spells the matrix's item
    _argument("--seed", type=int, required=True),
)
_RUNS = _argument("--runs", type=Path, default=Path("runs"), help="the folder of runs (runs)")
_REPORT = _argument("--report", type=Path, default=Path("report"), help="the report's folder (report)")
_DRY_RUN = _argument("--dry-run", action="store_true", help="say what would be done; change nothing")

COMMANDS = {
    "check": Command(
        "pipeline.check.stage",
        "stage: check params.yaml before a value becomes part of a path",
        _paths("checked"),
    ),
    "download": Command(
        "pipeline.download.stage", "stage: fetch and check the data set's files", _paths("raw")
    ),
    "scale": Command(
        "pipeline.scale.stage", "stage: decode, scale and split the images", _paths("raw", "scaled")
    ),
    "train": Command(
        "pipeline.train.stage", "stage: train one rate and seed", (*_paths("scaled", "runs"), *_RUN)
    ),
    "range_test": Command(
        "pipeline.range_test.stage",
        "stage: raise the rate while training, to see which suits",
        _paths("scaled", "range_test"),
    ),
    "report": Command(
        "pipeline.report.stage",
        "stage: compare the runs, choose a rate",
        (
            *_paths("scaled", "runs", "report"),
            _argument("--range-test", type=Path, help="the range test's folder, to compare with the study"),
        ),
    ),
    "summary": Command(
        "pipeline.commands.summary",
        "the verdict in Markdown, and what changed since a git revision",
        (
            _argument("--against", metavar="REVISION", help="compare with the verdict of this revision"),
            _REPORT,
        ),
    ),
    "repro": Command("pipeline.commands.repro", "`dvc repro`, then `publish`; without a network, the demo"),
    "demo": Command("pipeline.commands.demo", "the whole pipeline on a bundled sample, in a scratch copy"),
    "rehearse": Command(
        "pipeline.commands.rehearse", "try in seconds what the study will do; say what it will take"
    ),
    "refine": Command(
        "pipeline.refine.command",
        "train and look by turns, as the report advises, until the verdict is settled",
        (
            _argument(
                "--budget",
                type=_count,
                required=True,
                metavar="RUNS",
                help="how many runs may have been trained in the end, those that are there already included",
            ),
            _argument("--sweep", action="store_true", help="train with `sweep` instead of `dvc repro`"),
            _DRY_RUN,
        ),
    ),
    "publish": Command(
        "pipeline.tracking.publish", "bring MLflow up to date with the outputs", (_RUNS, _REPORT, _DRY_RUN)
    ),
    "verify": Command(
        "pipeline.verify.command",
        "train again from nothing, elsewhere, and compare with dvc.lock",
        (
            _argument("--runs", type=int, default=2, metavar="K", help="how many runs to train (2)"),
            _argument("--all", action="store_true", help="train all runs; remake the range test and report"),
            _argument(
                "--draw",
                default="",
                metavar="TEXT",
                help="draw the runs by this text, too: the commit's author knows which its hash alone draws",
            ),
        ),
    ),
    "ui": Command(
        "pipeline.commands.ui",
        "`publish`, then MLflow's pages at the comparison of this study's runs",
        (
            _argument("--port", type=_port, default=5000, help="any free one if this is taken (5000)"),
            _argument(
                "--no-browser", dest="browser", action="store_false", help="only print the page's address"
            ),
        ),
    ),
    "sweep": Command(
        "pipeline.sweep.command",
        "the runs of `dvc repro`, many at a time, on this machine or a Ray cluster",
        (
            _argument(
                "--address", help="a Ray cluster: auto, ray://host:port, host:port (this machine alone)"
            ),
            _argument(
                "--cpus-per-run",
                type=_above_zero,
                help="cores reserved for each run (default: train.threads; on a single machine a little "
                "less, so that one more run fits)",
            ),
            _argument(
                "--gpus-per-run", type=_share, default=0.0, help="share of a GPU for a run, such as 0.25 (0)"
            ),
            _argument(
                "--max-concurrent", type=_count, help="at most this many runs at a time (as many as fit)"
            ),
            _DRY_RUN,
        ),
    ),
    "follow": Command("pipeline.tracking.follow", None),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, call, and turn an error that a person can fix into its message and exit code."""
    chosen = vars(parser().parse_args(arguments))
    name = chosen.pop("command")
    isolation.isolate()
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a container's user may be a number without a name, with which DVC ends
        os.environ["USER"] = str(os.getuid())
    # DVC's own notes: its default is a folder that everybody on the machine can write.
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".dvc/tmp/site").resolve()))
    code = _call(name, COMMANDS[name].module, chosen)
    if COMMANDS[name].module.endswith(".stage"):
        exit_codes.note(code)
    return code


def _call(name: str, module: str, arguments: dict[str, Any]) -> int:
    try:
        code: int = getattr(importlib.import_module(module), name)(**arguments) or 0
        print(end="", flush=True)
        return code
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output left, as in `... | head`
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.close()
        sys.stderr.close()
        return 141
    except (OSError, ImportError, MemoryError) as error:
        if not (text := describe_os_error(error)):
            raise
        print(f"error: {text}", file=sys.stderr)
        return os.EX_IOERR


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    parsers = root.add_subparsers(required=True, metavar="command", dest="command")
    for name, command in COMMANDS.items():
        listed: dict[str, Any] = {"help": command.help} if command.help else {}
        child = parsers.add_parser(name, description=command.help, **listed)
        for names, options in command.arguments:
            child.add_argument(*names, **options)
    return root


if __name__ == "__main__":
    # They are for those who develop the libraries; PYTHONWARNINGS=error ends DVC, MLflow and Ray.
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.simplefilter("ignore")
    if sys.stdout:  # a terminal may lack a character that the verdict has
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
