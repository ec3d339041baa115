"""`python -m pipeline <command>`: the stages as dvc.yaml calls them, and what is offered beside them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import PipelineError

Run = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, call, and turn an error that a person can mend into its message and exit code."""
    chosen = _parser().parse_args(arguments)
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


# The modules are imported by the function that needs them: TensorFlow, MLflow and Ray take seconds, and
# `--help`, download and report should not wait for what they do not use.


def _download(chosen: argparse.Namespace) -> None:
    from pipeline.stages.download import download

    download(chosen.raw)


def _scale(chosen: argparse.Namespace) -> None:
    from pipeline.stages.scale import scale

    scale(chosen.raw, chosen.scaled)


def _train(chosen: argparse.Namespace) -> None:
    from pipeline.stages.train import train

    train(chosen.scaled, chosen.runs, chosen.learning_rate, chosen.seed)


def _report(chosen: argparse.Namespace) -> None:
    from pipeline.stages.report import report

    report(chosen.scaled, chosen.runs, chosen.report)


def _repro(_: argparse.Namespace) -> int:
    from pipeline.commands.repro import repro

    return repro()


def _demo(_: argparse.Namespace) -> None:
    from pipeline.commands.demo import demo

    demo()


def _track(chosen: argparse.Namespace) -> None:
    from pipeline.commands.track import track

    track(chosen.learning_rate, chosen.seed, chosen.run_key)


def _publish(chosen: argparse.Namespace) -> int:
    from pipeline.commands.publish import publish

    return publish(chosen.runs, chosen.report, dry_run=chosen.dry_run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Run, text: str, *paths: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        for path in paths:
            one.add_argument(path, type=Path)
        return one

    command("download", _download, "stage: fetch and check the data set's files", "raw")
    command("scale", _scale, "stage: decode, scale and split the images", "raw", "scaled")
    train = command("train", _train, "stage: train one rate and seed", "scaled", "runs")
    # Spelled as DVC spells the matrix's item in the command.
    train.add_argument("--learning_rate", type=float, required=True)
    train.add_argument("--seed", type=int, required=True)
    command("report", _report, "stage: compare the runs, choose a rate", "scaled", "runs", "report")
    command("repro", _repro, "`dvc repro`, then `publish`; without a network, the demo")
    command("demo", _demo, "the whole pipeline on a bundled sample, in a scratch copy")
    publish = command("publish", _publish, "make MLflow agree with the outputs")
    publish.add_argument("--dry-run", action="store_true", help="say what would be done; change nothing")
    publish.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of runs (runs)")
    publish.add_argument("--report", type=Path, default=Path("report"), help="the report's folder (report)")
    # The train stage starts it; it is no command for people, so the list of commands leaves it out.
    track = commands.add_parser("track")
    track.set_defaults(run=_track)
    track.add_argument("--learning_rate", type=float, required=True)
    track.add_argument("--seed", type=int, required=True)
    track.add_argument("--run_key", required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
