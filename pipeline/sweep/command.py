"""Command `sweep`: the order of things."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from filelock import FileLock, Timeout

from pipeline import params
from pipeline.core import run_keys
from pipeline.core.errors import Interrupted, ToolError
from pipeline.sweep import cluster, driver
from pipeline.sweep.driver import SCRATCH, Failed, Trained
from pipeline.sweep.stages import Books, Plan
from pipeline.sweep.tasks import Options
from pipeline.tools import programs
from pipeline.train import signals
from pipeline.train.signals import Interruption
from pipeline.verify import environments


def sweep(
    address: str | None = None,
    cpus_per_run: float | None = None,
    gpus_per_run: float = 0.0,
    max_concurrent: int | None = None,
    *,
    dry_run: bool = False,
) -> int:
    """Train every run that `dvc repro` would train, and leave everything as it would.

    Args:
        address, cpus_per_run, gpus_per_run, max_concurrent: see `tasks.Options`.
        dry_run: only say what would be done.

    Returns:
        0; or 1 if a run failed: the others are done and recorded, the report is as it was.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        ToolError: Ray is not installed, no cluster answers, or another process is at work on these runs.
        Interrupted: a signal came; what is done is recorded, and the same command does the rest.
    """
    options = Options(address, cpus_per_run, gpus_per_run, max_concurrent)
    study = params.load()
    cluster.require()
    os.environ.update(programs.environment())
    trained = Trained([], {})
    with Books() as books:
        if dry_run:
            return _foresee(books)
        with _alone(), signals.deferred() as asked, environments.kept(trained.makers) as ended:
            os.environ.update(ended.variables)  # DVC runs in this process
            books.reproduce_before()
            inputs = run_keys.inputs(study.values())
            plan = books.plan()
            print(_described(plan), file=sys.stderr)
            try:
                _execute(
                    books,
                    plan,
                    asked,
                    lambda: driver.train(study, inputs, books, plan, options, asked, trained=trained),
                )
                if not trained.failures and not asked.signal:
                    books.reproduce_after()
            finally:
                books.write_lock()
            if trained.failures:
                _report(trained.failures)
            if asked.signal:
                raise Interrupted(
                    f"Stopped by signal {asked.signal}. Finished runs are recorded, the others keep their "
                    "checkpoints; the same command goes on from there.",
                    asked.signal,
                )
            return 1 if trained.failures else 0


def _foresee(books: Books) -> int:
    if books.before_is_stale():
        print("The data is not up to date: it would be made first, and only then show which runs are stale.")
        return 0
    plan = books.plan()
    print(_described(plan))
    for verb, entries in (("restore", plan.restorable), ("train", plan.stale)):
        for entry in entries:
            print(f"  would {verb} {entry.name}")
    return 0


def _described(plan: Plan) -> str:
    return (
        f"sweep: {len(plan.current)} runs up to date, {len(plan.restorable)} in DVC's run cache, "
        f"{len(plan.stale)} to train"
    )


def _execute(books: Books, plan: Plan, asked: Interruption, train: Callable[[], None]) -> None:
    if not (plan.restorable or plan.stale):
        return
    with contextlib.ExitStack() as stack:
        for folder in {entry.folder.parents[1] for entry in (*plan.restorable, *plan.stale)}:
            stack.enter_context(books.reserving(folder))
        books.restore(plan.restorable)
        if plan.stale and not asked.signal:
            train()


def _report(failures: list[Failed]) -> None:
    print(f"sweep: {len(failures)} runs failed; the others are done and recorded.", file=sys.stderr)
    for failed in failures:
        print(f"  {failed.entry.name}: {failed.reason}", file=sys.stderr)
    print(
        "The report needs every run. Mend the reason, then start the sweep again: it trains only these.",
        file=sys.stderr,
    )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    owner = SCRATCH / "owner"
    try:
        with FileLock(SCRATCH / "lock", timeout=0):
            owner.write_text(str(os.getpid()), encoding="utf-8")
            yield
    except Timeout:
        who = owner.read_text(encoding="utf-8") if owner.exists() else "unknown"
        raise ToolError(
            f"expected to be the only sweep in this repository, got another one at work (process {who}). "
            "Wait for it, or end it with Ctrl-C; then start this one again."
        ) from None
