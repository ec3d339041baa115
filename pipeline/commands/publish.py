"""Command `publish`: MLflow as the outputs have it, whatever happened to it before."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from pipeline import params
from pipeline.core.errors import PipelineError, ToolError, without_login
from pipeline.tracking import address, publishing
from pipeline.tracking.store import Store, find_store, open_store, summary
from pipeline.tracking.sync import Outcome

RUNS, REPORT = Path("runs"), Path("report")

_PATIENCE = 600  # seconds that a second `publish` on the machine waits for the first


class Published(NamedTuple):
    """Attributes:

    store: None in a dry run, where there is none yet.
    study: stands for the set of runs; see `tracking.study.study_id`. None if there are no runs.
    problems: how many outputs are missing, damaged or out of date.
    """

    store: Store | None
    study: str | None
    problems: int


def publish(runs: Path = RUNS, report: Path = REPORT, *, dry_run: bool = False) -> int:
    """Create what is missing in MLflow, complete what is partial, bury what is dead; print what was done.

    Returns:
        0; or 1 if the outputs are not complete: a run or the report is missing, damaged or out of date.
        Everything else is published all the same.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        ToolError: MLflow is not there, or its store does not answer.
    """
    return 1 if bring(runs, report, dry_run=dry_run).problems else 0


def bring(runs: Path = RUNS, report: Path = REPORT, *, dry_run: bool = False) -> Published:
    """What `publish` does; tells what came of it."""
    study = params.load()
    uri = address.tracking_uri()
    dataset = study.data.dataset
    store = find_store(dataset) if dry_run else open_store(dataset)
    print(f"MLflow at {without_login(uri)}, experiment {address.experiment(dataset)}")
    outputs = publishing.gather(study, runs, report)
    changes = problems = busy = unchanged = 0
    try:
        with _alone(uri) if not dry_run else contextlib.nullcontext():
            for step in publishing.publish(outputs, store, dry_run=dry_run):
                changes += step.change
                problems += step.problem
                left = step.outcome == Outcome.BUSY.value
                busy += left
                unchanged += not (step.change or step.problem or left)
                if step.problem:
                    print(f"  {step.what}: not published. {step.outcome}", file=sys.stderr)
                elif step.change:
                    print(f"  {step.what}: {'would be ' if dry_run else ''}{step.outcome}")
                elif left:
                    print(f"  {step.what}: {step.outcome}")
    except PipelineError:
        raise
    except Exception as error:
        raise ToolError(
            f"{without_login(uri)}: expected MLflow to take what is missing, got: {summary(error)}. "
            "What it took is kept; the same command goes on from there."
        ) from error
    elsewhere = f"{busy} left to another process that delivers them, " if busy else ""
    print(f"publish: {changes} changed, {unchanged} right already, {elsewhere}{problems} not published")
    return Published(store, outputs.name if outputs.entries else None, problems)


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    lock = FileLock(address.lock(uri).with_suffix(".publish.lock"), timeout=_PATIENCE)
    try:
        with lock:
            yield
    except Timeout:
        raise ToolError(
            f"another `publish` has been running for {_PATIENCE} s: wait for it, or end it, then try again."
        ) from None
