"""Command `publish`: MLflow as the outputs have it, whatever happened to it before."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline import params
from pipeline.errors import ToolError
from pipeline.tracking import place, publishing
from pipeline.tracking.store import find_store, open_store, summary

_PATIENCE = 600  # seconds that a second `publish` on the machine waits for the first


def publish(runs: Path = Path("runs"), report: Path = Path("report"), *, dry_run: bool = False) -> int:
    """Create what is missing in MLflow, complete what is partial, bury what is dead; print what was done.

    Returns:
        0; or 1 if the outputs are not complete: a run or the report is missing, damaged or out of date.
        Everything else is published all the same.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        ToolError: MLflow is not there, or its store does not answer.
    """
    study = publishing.Study(params.load(), runs, report)
    dataset = study.params.data.dataset
    uri = place.tracking_uri()
    store = find_store(dataset) if dry_run else open_store(dataset)
    print(f"MLflow at {place.shown(uri)}, experiment {place.experiment(dataset)}")
    changes = problems = unchanged = 0
    try:
        with _alone(uri) if not dry_run else contextlib.nullcontext():
            for step in publishing.publish(study, store, dry_run=dry_run):
                changes += step.change
                problems += step.problem
                unchanged += not (step.change or step.problem)
                if step.problem:
                    print(f"  {step.what}: not published. {step.outcome}", file=sys.stderr)
                elif step.change:
                    print(f"  {step.what}: {'would be ' if dry_run else ''}{step.outcome}")
    except Exception as error:
        raise ToolError(
            f"{place.shown(uri)}: expected MLflow to take what is missing, got: {summary(error)}. "
            "What it took is kept; the same command goes on from there."
        ) from error
    print(f"publish: {changes} changed, {unchanged} right already, {problems} not published")
    return 1 if problems else 0


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    lock = FileLock(place.lock(uri).with_suffix(".publish.lock"), timeout=_PATIENCE)
    try:
        with lock:
            yield
    except Timeout:
        raise ToolError(
            f"another `publish` has been running for {_PATIENCE} s: wait for it, or end it, then try again."
        ) from None
