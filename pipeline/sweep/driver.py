"""The driver's side of the runs: sends them out, writes and records what comes back, tells what happens."""

import math
import shutil
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import ToolError
from pipeline.params import Params
from pipeline.sweep import cluster, messages
from pipeline.sweep.display import Display
from pipeline.sweep.live import Teller
from pipeline.sweep.stages import Books, Entry, Plan
from pipeline.sweep.tasks import Engine, Failure, Options, Stopped
from pipeline.sweep.worker import Finished, Run, Study
from pipeline.tracking import address
from pipeline.train import images
from pipeline.train.signals import Interruption

SCRATCH = Path(".scratch/sweep")


class Failed(NamedTuple):
    """A run that failed for a reason of its own, which starting it again would not mend."""

    entry: Entry
    reason: str


class Trained(NamedTuple):
    """Attributes:

    failures: of the runs that have no outputs.
    makers: of those that have some, by their folders' paths; see `record.Makers`.
    """

    failures: list[Failed]
    makers: dict[str, Mapping[str, str] | None]


def train(
    study: Params,
    inputs: Mapping[str, Any],
    books: Books,
    plan: Plan,
    options: Options,
    asked: Interruption,
    *,
    trained: Trained,
) -> None:
    """Train the plan's stale runs; each one is written and in DVC's run cache as soon as it arrives.

    Args:
        inputs: `run_keys.inputs` from before the plan was made; workers refuse files that were edited since.
        asked: once a signal is noted there, what runs saves its checkpoint and nothing new starts.
        trained: filled in as runs arrive, so that it holds what is done whatever happens then.
    """
    entries = plan.stale
    content = {part: images.read_images(entries[0].scaled, part) for part in images.PARTS}
    size = sum(array.nbytes for part in content.values() for array in part)
    uri = address.tracking_uri()
    server = uri if address.is_server(uri) else None
    shared = Study(study, inputs, str(Path.cwd()), server, options.gpus_per_run)
    runs = [
        Run(number, entry.learning_rate, entry.seed, _run_key(inputs, entry))
        for number, entry in enumerate(entries)
    ]
    failures, beyond = trained.failures, list[float]()
    telling = None if server else Teller()  # first: it imports MLflow while Ray starts
    try:
        with (
            cluster.connected(options.address, size) as ray,
            Display(len(runs), study.train.epochs) as display,
        ):
            chosen = sized(ray, study, options)
            print(_announced(ray, chosen), file=sys.stderr)
            for entry in (*plan.current, *plan.restorable):
                display.consider(files.read_json(entry.folder / run_folders.METRICS))
            follower = messages.Follower(runs, telling, display)
            events = ray.train(
                shared, content, runs, chosen, lambda: asked.signal is not None, follower.is_waiting
            )
            for event in events:
                if isinstance(event, Mapping):
                    follower.take(event)
                    continue
                run, outcome = event
                entry = entries[run.number]
                match outcome:
                    case Finished():
                        try:
                            write(entry.folder, run.run_key, outcome.files)
                            books.record([entry])
                        except (OSError, ToolError) as error:
                            failures.append(Failed(entry, f"it could not be written: {error}"))
                            follower.ended(run, "FAILED")
                        else:
                            beyond.append(outcome.beyond)
                            trained.makers[entry.folder.as_posix()] = outcome.machine
                            follower.finished(run, entry.folder)
                    case Failure(reason):
                        failures.append(Failed(entry, reason))
                        follower.ended(run, "FAILED")
                    case Stopped():
                        follower.ended(run, "KILLED")
            follower.close()
    finally:
        trouble = telling.close() if telling else ""
        if trouble:
            messages.warn(trouble)
    if beyond:
        print(
            f"sweep: beyond its epochs, a run took its worker {statistics.median(beyond):.2f} s "
            f"(median of {len(beyond)})",
            file=sys.stderr,
        )


def _run_key(inputs: Mapping[str, Any], entry: Entry) -> str:
    return run_keys.digest({**inputs, "learning_rate": entry.learning_rate, "seed": entry.seed})


def sized(ray: Engine, study: Params, options: Options) -> Options:
    """Fill in the cores of a run: its threads, or on this machine what lets one run more go on than these do.

    A run that starts, is evaluated or is written leaves cores free, and so does the driver. With two cores,
    two runs of two threads at a time took 13 % less time than one after the other.

    On a cluster, a machine that can take a run may still be to come.

    Raises:
        ToolError: this machine can never run one.
    """
    if options.cpus_per_run is None:
        cores = float(study.train.threads)
        if ray.local:
            at_once = ray.largest // cores + 1
            cores = math.floor(1e4 * ray.largest / at_once) / 1e4  # Ray counts cores to the fourth decimal
        options = options._replace(cpus_per_run=cores)
    if ray.fits(options):
        return options
    wanted = f"{options.cpus_per_run:g} cores and {options.gpus_per_run:g} GPU(s) for a run"
    if ray.local:
        raise ToolError(
            f"{wanted}: expected at most the {ray.largest:g} cores and {ray.gpus:g} GPU(s) of this machine. "
            "Give --cpus-per-run and --gpus-per-run less."
        )
    print(
        f"warning: no machine of the cluster has {wanted}; the sweep waits for one that has. If none will "
        "come, end it with Ctrl-C and give --cpus-per-run and --gpus-per-run less.",
        file=sys.stderr,
    )
    return options


def _announced(ray: Engine, options: Options) -> str:
    text = f"sweep: {ray.cpus:g} cores on {ray.nodes} machine(s), {options.cpus_per_run:.3g} for each run"
    if ray.gpus:
        text += f"; {ray.gpus:g} GPU(s), {options.gpus_per_run:g} for each run (--gpus-per-run)"
    return f"{text}; dashboard at {ray.dashboard}" if ray.dashboard else text


def write(folder: Path, run_key: str, content: Mapping[str, bytes]) -> None:
    """Make the run's folder, complete at once.

    It is prepared in the scratch folder: what a killed process leaves beside the runs would count as an
    output of the study.
    """
    prepared = SCRATCH / run_key
    shutil.rmtree(prepared, ignore_errors=True)
    prepared.mkdir(parents=True)
    for name, data in content.items():
        files.write_bytes(prepared / name, data)
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    prepared.replace(folder)
