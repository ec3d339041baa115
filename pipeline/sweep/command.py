"""Command `sweep`: the order of things."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping

from pipeline import params
from pipeline.core import network_files, run_keys
from pipeline.core.errors import Interrupted, ToolError
from pipeline.params import Params
from pipeline.sweep import cluster, driver
from pipeline.sweep.dvc_stages import Plan, Stages
from pipeline.sweep.engine import Options
from pipeline.tools import exit_codes, programs
from pipeline.train import signals


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
        address, cpus_per_run, gpus_per_run, max_concurrent: see `engine.Options`.
        dry_run: only say what would be done.

    Returns:
        0; or 1 if a run failed: the others are done and recorded, the report is as it was.

    Raises:
        ParamsError: params.yaml cannot be worked with, or names no file with a network.
        ChangedError: code or parameters were edited before the runs were planned.
        ToolError: Ray is not installed, no cluster answers, or another process is at work on these runs.
        Interrupted: a signal came; what is done is recorded, and the same command does the rest.
    """
    options = Options(address, cpus_per_run, gpus_per_run, max_concurrent)
    network_files.read(params.load().network.file)  # said in words: `watch` looks at it as one of many
    check, study = params.watch("train"), params.load()
    cluster.require()
    os.environ.update(programs.environment())
    with contextlib.closing(Stages()) as stages, exit_codes.collected() as codes:
        if dry_run:
            _print_plan(stages, study)
            return 0
        os.environ.update(codes.variables)
        failures: dict[str, str] = {}
        with signals.deferred() as interruption:
            try:
                stages.reproduce(stages.upstream)
                network, inputs = network_files.read(study.network.file), run_keys.inputs(study.values())
                plan = stages.plan(inputs)
                check()  # DVC has read the files itself
                print(_summary(plan), file=sys.stderr)
                with contextlib.ExitStack() as stack:
                    for stage in (*plan.restorable, *plan.stale)[:1]:  # all runs are in the same folder
                        stack.enter_context(stages.reserve(stage.folder.parents[1]))
                    stages.restore(plan.restorable)
                    if plan.stale and not interruption.signal:
                        failures = driver.train_stale(
                            study, inputs, network, stages, plan, options, interruption
                        )
                if not failures and not interruption.signal:
                    stages.reproduce(stages.others)
            except ToolError:
                # DVC ignores Ctrl-C while a stage runs, which ends by it.
                if 128 + signal.SIGINT in codes.read().values():
                    interruption.signal = signal.SIGINT
                if not interruption.signal:
                    raise
            finally:
                stages.write_lock()
            _print_failures(failures)
            if interruption.signal:
                raise Interrupted(
                    f"Stopped by signal {interruption.signal}. Finished runs are recorded, the others keep "
                    "their checkpoints; the same command goes on from there.",
                    interruption.signal,
                )
            return 1 if failures else 0


def _print_plan(stages: Stages, study: Params) -> None:
    if stages.data_is_stale():
        print("The data is not up to date: it would be made first, and only then show which runs are stale.")
        return
    plan = stages.plan(run_keys.inputs(study.values()))
    print(_summary(plan))
    for verb, train_stages in (("restore", plan.restorable), ("train", plan.stale)):
        for stage in train_stages:
            print(f"  would {verb} {stage.run.name}")


def _summary(plan: Plan) -> str:
    return (
        f"sweep: {len(plan.current)} runs up to date, {len(plan.restorable)} in DVC's run cache, "
        f"{len(plan.stale)} to train"
    )


def _print_failures(failures: Mapping[str, str]) -> None:
    if not failures:
        return
    print(f"sweep: {len(failures)} runs failed; the others are done and recorded.", file=sys.stderr)
    for name, reason in failures.items():
        print(f"  {name}: {reason}", file=sys.stderr)
    print(
        "The report needs every run. Remove the cause, then start the sweep again: it trains only these.",
        file=sys.stderr,
    )
