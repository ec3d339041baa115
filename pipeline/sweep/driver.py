"""The driver's side of the runs: hands them out, writes and commits what comes back, shows how far it is."""

import contextlib
import math
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core import runs as run_folders
from pipeline.core.errors import ToolError
from pipeline.core.network_files import NetworkFile
from pipeline.params import Params
from pipeline.sweep import Message, SweepRun, cluster
from pipeline.sweep.display import Display
from pipeline.sweep.dvc_stages import Plan, Stages
from pipeline.sweep.engine import Engine, Failed, Options
from pipeline.sweep.worker import SweepStudy, Trained
from pipeline.tracking import address, data, live_log
from pipeline.tracking.live_log import LiveLog
from pipeline.train import examples
from pipeline.train.signals import Interruption


def train_stale(
    study: Params,
    inputs: Mapping[str, Any],
    network: NetworkFile,
    stages: Stages,
    plan: Plan,
    options: Options,
    interruption: Interruption,
) -> dict[str, str]:
    """Train the plan's stale runs; each one is written and in DVC's run cache as soon as it arrives.

    Args:
        inputs, network: `run_keys.inputs` and the network's file from before the plan was made; workers
            refuse other files that were edited since.
        interruption: once it has a signal, what runs saves its checkpoint and nothing new starts.

    Returns:
        Why runs failed, by their names.
    """
    scaled = plan.stale[0].scaled
    trained_on = data.read(scaled)
    parts = {part: examples.read(scaled, part, trained_on.task) for part in examples.PARTS}
    size = sum(array.nbytes for part in parts.values() for array in part)
    uri = address.tracking_uri()
    server = uri if address.is_server(uri) else None
    shared = SweepStudy(study, inputs, network, trained_on, str(Path.cwd()), server, options.gpus_per_run)
    stale = {stage.run: stage for stage in plan.stale}
    failures, overheads = dict[str, str](), list[float]()
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(cluster.connect(options.address, size))
        display = stack.enter_context(contextlib.closing(Display(len(stale), study.train.epochs)))
        options = sized(engine, study, options)
        print(_announcement(engine, options), file=sys.stderr)
        for stage in (*plan.current, *plan.restorable):
            display.compare(files.read_json(stage.folder / run_folders.METRICS))
        listener = _Listener(shared, stale, display)
        for event in engine.train(
            shared, parts, list(stale), options, lambda: interruption.signal is not None
        ):
            if isinstance(event, Mapping):
                listener.take(event)
                continue
            run, result = event
            stage = stale[run]
            if isinstance(result, Trained):
                try:
                    write_run(stage.folder, result.files)
                    stages.commit(stage)
                except (OSError, ToolError) as error:
                    result = Failed(f"it could not be written: {error}")
            match result:
                case Trained():
                    overheads.append(result.overhead)
                    listener.finish(run, stage.folder)
                case Failed(reason):
                    failures[run.name] = reason
                    listener.end(run, "FAILED")
                case None:
                    listener.end(run, "KILLED")
    if overheads:
        print(
            f"sweep: beyond its epochs, a run took its worker {statistics.median(overheads):.2f} s "
            f"(median of {len(overheads)})",
            file=sys.stderr,
        )
    return failures


class _Listener:
    """The receiver of what workers report: it is shown, and written to live logs where workers have none."""

    def __init__(self, study: SweepStudy, runs: Iterable[SweepRun], display: Display) -> None:
        self._study, self._display = study, display
        self._open = {run.run_key: run for run in runs}
        self._logs: dict[str, LiveLog] = {}
        self._warned = False

    def take(self, message: Message) -> None:
        match message:
            case {"trouble": text}:  # each node may have the same
                if not self._warned:
                    live_log.say(text)
                self._warned = True
            case {"run": key} if key not in self._open:  # late: the run's end overtook it
                pass
            case {"run": key, "epochs": rows}:
                for row in rows:
                    if log := self._log(self._open[key]):
                        log.epoch(*row)
                self._display.epoch(key, rows[-1][0])
            case {"run": key}:
                self._log(self._open[key])
                self._display.start(key)

    def finish(self, run: SweepRun, folder: Path) -> None:
        del self._open[run.run_key]
        if log := self._log(run):
            log.finish(folder)
        self._display.finish(run.run_key, files.read_json(folder / run_folders.METRICS))

    def end(self, run: SweepRun, status: str) -> None:
        """Note a run that has no outputs; MLflow does not know it unless it had begun."""
        del self._open[run.run_key]
        if log := self._logs.get(run.run_key):
            log.end(status)
        if status == "FAILED":
            self._display.finish(run.run_key, None)
        else:
            self._display.stop(run.run_key)

    def _log(self, run: SweepRun) -> LiveLog | None:
        if not self._study.tracking_uri and run.run_key not in self._logs:
            self._logs[run.run_key] = LiveLog(self._study.params, self._study.data, *run)
        return self._logs.get(run.run_key)


def sized(engine: Engine, study: Params, options: Options) -> Options:
    """Fill in the cores of a run: its threads, or, on this machine, few enough that one more run fits.

    A run that starts, is evaluated or is written leaves cores free, and so does the driver. With two cores,
    two runs of two threads at a time took 13 % less time than one after the other.

    On a cluster, a machine that can take a run may still be to come.

    Raises:
        ToolError: this machine can never run one.
    """
    largest = max((cpus for cpus, _ in engine.sizes), default=0.0)
    if options.cpus_per_run is None:
        cores = float(study.train.threads)
        if engine.local:  # Ray counts cores to the fourth decimal
            cores = math.floor(1e4 * largest / (largest // cores + 1)) / 1e4
        options = options._replace(cpus_per_run=cores)
    if engine.fits(options):
        return options
    wanted = f"{options.cpus_per_run:g} cores and {options.gpus_per_run:g} GPU(s) for a run"
    if engine.local:
        raise ToolError(
            f"{wanted}: expected at most the {largest:g} cores and {_gpus(engine):g} GPU(s) of this machine. "
            "Give --cpus-per-run and --gpus-per-run less."
        )
    print(
        f"warning: no machine of the cluster has {wanted}; the sweep waits for one that has. If none is "
        "coming, end it with Ctrl-C and give --cpus-per-run and --gpus-per-run less.",
        file=sys.stderr,
    )
    return options


def _announcement(engine: Engine, options: Options) -> str:
    cores = sum(cpus for cpus, _ in engine.sizes)
    text = (
        f"sweep: {cores:g} cores on {len(engine.sizes)} machine(s), {options.cpus_per_run:.3g} for each run"
    )
    if gpus := _gpus(engine):
        text += f"; {gpus:g} GPU(s), {options.gpus_per_run:g} for each run (--gpus-per-run)"
    return f"{text}; dashboard at {engine.dashboard}" if engine.dashboard else text


def _gpus(engine: Engine) -> float:
    return math.fsum(gpus for _, gpus in engine.sizes)


def write_run(folder: Path, content: Mapping[str, bytes]) -> None:
    """Make the run's folder, complete at once."""
    with files.replacing_folder(folder) as new:
        for name, data in content.items():
            (new / name).write_bytes(data)
