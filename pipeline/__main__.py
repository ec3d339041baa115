"""`python -m pipeline <command>`: the stages as dvc.yaml calls them, and what is offered beside them."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline import endings
from pipeline.errors import EX_IOERR, PipelineError, explain_machine

Run = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, call, and turn an error that a person can mend into its message and exit code."""
    chosen = parser().parse_args(arguments)
    # DVC's own notes: its default is a folder that everybody on the machine can write.
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".dvc/tmp/site").resolve()))
    code = _run(chosen)
    if chosen.run in (_check, _download, _scale, _train, _range_test, _report):
        endings.note(code)
    return code


def _run(chosen: argparse.Namespace) -> int:
    run: Run = chosen.run
    try:
        return run(chosen) or 0
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output left, as in `... | head`
        sys.stderr.close()
        return 141
    except OSError as error:
        if not (said := explain_machine(error)):
            raise
        print(f"error: {said}", file=sys.stderr)
        return EX_IOERR


# The modules are imported by the function that needs them: TensorFlow, MLflow and Ray take seconds, and
# `--help`, download and report should not wait for what they do not use.


def _check(chosen: argparse.Namespace) -> None:
    from pipeline.stages.check import check

    check(chosen.checked)


def _download(chosen: argparse.Namespace) -> None:
    from pipeline.stages.download import download

    download(chosen.raw)


def _scale(chosen: argparse.Namespace) -> None:
    from pipeline.stages.scale import scale

    scale(chosen.raw, chosen.scaled)


def _train(chosen: argparse.Namespace) -> None:
    from pipeline.stages.train import train

    train(chosen.scaled, chosen.runs, chosen.learning_rate, chosen.seed)


def _range_test(chosen: argparse.Namespace) -> None:
    from pipeline.stages.range_test import range_test

    range_test(chosen.scaled, chosen.range_test)


def _report(chosen: argparse.Namespace) -> None:
    from pipeline.stages.report import report

    report(chosen.scaled, chosen.runs, chosen.report, chosen.range_test)


def _summary(chosen: argparse.Namespace) -> None:
    from pipeline.commands.summary import summary

    summary(chosen.report, chosen.against)


def _repro(_: argparse.Namespace) -> int:
    from pipeline.commands.repro import repro

    return repro()


def _demo(_: argparse.Namespace) -> None:
    from pipeline.commands.demo import demo

    demo()


def _verify(chosen: argparse.Namespace) -> int:
    from pipeline.commands.verify import verify

    return verify(chosen.runs, everything=chosen.all, within=chosen.tolerance, salt=chosen.draw)


def _track(chosen: argparse.Namespace) -> None:
    from pipeline.commands.track import track

    track(chosen.learning_rate, chosen.seed, chosen.run_key)


def _publish(chosen: argparse.Namespace) -> int:
    from pipeline.commands.publish import publish

    return publish(chosen.runs, chosen.report, dry_run=chosen.dry_run)


def _ui(chosen: argparse.Namespace) -> None:
    from pipeline.commands.ui import ui

    ui(port=chosen.port, browser=not chosen.no_browser)


def _sweep(chosen: argparse.Namespace) -> int:
    from pipeline.commands.sweep.command import sweep
    from pipeline.commands.sweep.engine import Options

    options = Options(chosen.address, chosen.cpus_per_run, chosen.gpus_per_run, chosen.max_concurrent)
    return sweep(options, dry_run=chosen.dry_run)


Number = TypeVar("Number", int, float)


def _number(
    read: Callable[[str], Number], is_right: Callable[[Number], bool], expected: str
) -> Callable[[str], Number]:
    """An argument's type that says what was expected."""

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


def parser() -> argparse.ArgumentParser:
    """What the commands take; also reads the commands that dvc.yaml holds."""
    root = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = root.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Run, text: str, *paths: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        for path in paths:
            one.add_argument(path, type=Path)
        return one

    command("check", _check, "stage: read params.yaml before a value becomes part of a path", "checked")
    command("download", _download, "stage: fetch and check the data set's files", "raw")
    command("scale", _scale, "stage: decode, scale and split the images", "raw", "scaled")
    train = command("train", _train, "stage: train one rate and seed", "scaled", "runs")
    # Spelled as DVC spells the matrix's item in the command.
    train.add_argument("--learning_rate", type=float, required=True)
    train.add_argument("--seed", type=int, required=True)
    command("range_test", _range_test, "stage: raise the rate while training", "scaled", "range_test")
    report = command("report", _report, "stage: compare the runs, choose a rate", "scaled", "runs", "report")
    report.add_argument(
        "--range-test", type=Path, help="the range test's folder, to hold it against the study"
    )
    summary = command("summary", _summary, "the verdict in Markdown, and what changed since a git revision")
    summary.add_argument("--against", metavar="REVISION", help="compare with the verdict of this revision")
    summary.add_argument("--report", type=Path, default=Path("report"), help="the report's folder (report)")
    command("repro", _repro, "`dvc repro`, then `publish`; without a network, the demo")
    command("demo", _demo, "the whole pipeline on a bundled sample, in a scratch copy")
    publish = command("publish", _publish, "make MLflow agree with the outputs")
    publish.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    publish.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of runs (runs)")
    publish.add_argument("--report", type=Path, default=Path("report"), help="the report's folder (report)")
    verify = command("verify", _verify, "train again from nothing, elsewhere, and compare with dvc.lock")
    verify.add_argument("--runs", type=int, default=2, metavar="K", help="how many runs to train (2)")
    verify.add_argument("--all", action="store_true", help="train all runs, and make the report")
    verify.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        help="for another kind of processor: accuracies may differ by T (0.01 is one point)",
    )
    verify.add_argument(
        "--draw",
        default="",
        metavar="TEXT",
        help="draw the runs by this text, too: who made the commit knows which its hash alone draws",
    )
    ui = command("ui", _ui, "`publish`, then MLflow's pages at the comparison of this study's runs")
    ui.add_argument("--port", type=_port, default=5000, help="if it is taken, any free one (5000)")
    ui.add_argument("--no-browser", action="store_true", help="only say where the page is")
    sweep = command(
        "sweep", _sweep, "the runs of `dvc repro`, many at a time, on this machine or a Ray cluster"
    )
    sweep.add_argument(
        "--address", help="a Ray cluster: auto, ray://host:port, host:port (this machine alone)"
    )
    sweep.add_argument(
        "--cpus-per-run",
        type=_above_zero,
        help="cores set aside for a run (train.threads; on this machine alone what lets one run more go on)",
    )
    sweep.add_argument(
        "--gpus-per-run", type=_share, default=0.0, help="share of a GPU for a run, as 0.25 (0)"
    )
    sweep.add_argument("--max-concurrent", type=_count, help="runs at a time at most (as many as fit)")
    sweep.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    # The train stage starts it; it is no command for people, so the list of commands leaves it out.
    track = commands.add_parser("track")
    track.set_defaults(run=_track)
    track.add_argument("--learning_rate", type=float, required=True)
    track.add_argument("--seed", type=int, required=True)
    track.add_argument("--run_key", required=True)
    return root


if __name__ == "__main__":
    sys.exit(main())
