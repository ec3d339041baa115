"""What a sweep costs and saves: `python -m benchmarks.sweep record | wall | model`.

record  what DVC does: everything but training, for 100, 400 and 1,000 runs with made-up outputs
wall    `dvc repro` and the sweep in turn on the same study, each in a scratch copy; dvc.lock compared
model   10,000 runs on 100 nodes, simulated from measured costs
"""

import argparse
import contextlib
import heapq
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.checkout import copy_checkout
from pipeline.params import reading
from pipeline.tools import programs

ROOT = Path(__file__).resolve().parents[1]
_DIGITS = {
    "data.dataset": "digits",
    "data.validation_size": 100,
    "train.epochs": 5,
    "train.batch_size": 128,
    "network.values.hidden_units": 16,
    "train.seeds": [0],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("record")
    command.add_argument("runs", type=int, nargs="*", default=[100, 400, 1000])
    command.set_defaults(run=lambda chosen: print_record(chosen.runs))
    command = commands.add_parser("record-inner")  # a process of its own: imports count
    command.set_defaults(run=lambda _: print(json.dumps(record())))
    command = commands.add_parser("wall")
    command.add_argument("--rates", type=int, default=4)
    command.add_argument("--seeds", type=int, default=3)
    command.add_argument("--epochs", type=int, default=20)
    command.add_argument("--digits", action="store_true", help="the small data set: seconds, not minutes")
    command.add_argument("--rounds", type=int, default=1)
    command.add_argument("options", nargs="*", help="of the sweep, after --")
    command.set_defaults(run=wall)
    command = commands.add_parser("model")
    command.add_argument("--runs", type=int, default=10_000)
    command.add_argument("--nodes", type=int, default=100)
    command.set_defaults(run=lambda chosen: print_model(chosen.runs, chosen.nodes))
    chosen = parser.parse_args()
    chosen.run(chosen)


def project(root: Path, changes: Mapping[str, object]) -> Path:
    """Copy the checkout without its results, and with other params."""
    root.mkdir()
    copy_checkout(root)
    (root / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(root / "report", ignore_errors=True)
    reading.override(root / "params.yaml", changes)
    return root


# ---- record


def print_record(counts: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="record-") as scratch:
        for count in counts:
            rates = [round(1e-5 * (number + 1), 8) for number in range(count)]
            root = project(Path(scratch) / str(count), _DIGITS | {"train.learning_rates": rates})
            call(root, "dvc", "repro", "--quiet", "scale")
            phases = json.loads(call(root, "benchmarks.sweep", "record-inner").splitlines()[-1])
            again = json.loads(call(root, "benchmarks.sweep", "record-inner").splitlines()[-1])
            print(f"\n{count} runs: seconds of wall time (of processor time)")
            for title, table in (("first sweep", phases), ("nothing to do", again)):
                wall_s, cpu_s = (sum(value[which] for value in table.values()) for which in (0, 1))
                print(
                    f"  {title}: {wall_s:.1f} ({cpu_s:.1f}), {1e3 * cpu_s / count:.0f} ms of processor a run"
                )
                for name, (spent, used) in table.items():
                    print(f"    {name:<28} {spent:7.2f} ({used:.2f})")
            stale = call(root, "dvc", "status", "--quiet", check=False)
            print(f"  `dvc status` on the train stages afterwards: {stale or 'nothing stale'}")


def record() -> dict[str, tuple[float, float]]:
    """Plan, write made-up outputs, commit them, write dvc.lock, in the current folder; seconds of each."""
    phases: dict[str, tuple[float, float]] = {}
    began = (time.perf_counter(), cpu())

    def lap(name: str) -> None:
        nonlocal began
        now = (time.perf_counter(), cpu())
        phases[name] = (now[0] - began[0], now[1] - began[1])
        began = now

    from pipeline.sweep import driver
    from pipeline.sweep.dvc_stages import Stages

    lap("imports")
    with contextlib.closing(Stages()) as stages:
        lap("open, load dvc.yaml")
        stages.reproduce(stages.upstream)
        lap("data up to date?")
        plan = stages.plan({})
        lap("plan")
        with stages.reserve(Path("runs")):
            for number, stage in enumerate(plan.stale):
                driver.write_run(stage.folder, made_up(number))
                stages.commit(stage)
        lap("write outputs, commit")
        stages.write_lock()
        lap("write dvc.lock")
    return phases


def made_up(number: int) -> dict[str, bytes]:
    unique = random.Random(number).randbytes(64)
    return {
        "history.csv": unique.hex().encode() * 8,
        "metrics.json": json.dumps({"number": number}).encode(),
        "model.keras": unique * 400,
        "predictions.npy": unique * 5,
    }


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ---- wall


def wall(chosen: argparse.Namespace) -> None:
    rates = [0.1, 0.01, 0.001, 0.0001, 0.03, 0.003, 0.0003, 0.3, 0.00003, 0.05][: chosen.rates]
    study = {
        "train.learning_rates": rates,
        "train.seeds": list(range(chosen.seeds)),
        "train.epochs": chosen.epochs,
    }
    changes = (_DIGITS if chosen.digits else {}) | study
    seconds: dict[str, list[float]] = {"dvc repro": [], "sweep": []}
    locks = set()
    for _ in range(chosen.rounds):
        for name, module in (
            ("dvc repro", ["dvc", "repro"]),
            ("sweep", ["pipeline", "sweep", *chosen.options]),
        ):
            with tempfile.TemporaryDirectory(prefix="wall-") as scratch:
                root = project(Path(scratch) / "study", changes)
                if (ROOT / "data/raw").is_dir() and not chosen.digits:
                    shutil.copytree(ROOT / "data/raw", root / "data/raw")
                    reading.override(root / "params.yaml", {"data.mirrors": [str(ROOT / "data/raw")]})
                call(root, "dvc", "repro", "--quiet", "scale")
                began = time.perf_counter()
                call(root, *module)
                seconds[name].append(time.perf_counter() - began)
                locks.add((root / "dvc.lock").read_bytes())
                print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    total = chosen.seeds * len(rates)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{total} runs of {chosen.epochs} epochs on {os.cpu_count()} cores: "
        f"dvc repro {medians['dvc repro']:.1f} s, sweep {medians['sweep']:.1f} s, "
        f"{medians['dvc repro'] / medians['sweep']:.2f} times as fast; "
        f"dvc.lock {'identical' if len(locks) == 1 else 'DIFFERS'}"
    )


def call(root: Path, module: str, *arguments: str, check: bool = True) -> str:
    command = [sys.executable, "-m", module, *arguments]
    variables = programs.environment(MLFLOW_TRACKING_URI=None, DVC_ROOT=None, DVC_STAGE=None)
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


# ---- model

COSTS: dict[str, float] = {
    "seconds of a run's epochs": 10.0,
    "seconds outside of them, warm worker": 0.2,
    "seconds to start a worker (TensorFlow, tracing)": 8.0,
    "seconds of the driver for a run (DVC's work)": 0.026,
    "MB of a run's outputs": 3.2,
    "MB of the data": 57.0,
    "MB a second into a node": 1000.0,
    "MB a second out of the driver's node": 1000.0,
    "runs at a time on a node": 8.0,
    "share of the driver's work after the last run": 0.2,
}
"""Measured where they can be (docs/scaling.md says how); bandwidths and the node are assumed."""


def simulate(runs: int, nodes: int, costs: Mapping[str, float]) -> dict[str, float]:
    """Simulate the seconds until all is recorded, and where they go.

    Every slot of every node takes the next run as soon as it is free; its outputs then queue for the driver,
    which writes and records them one after the other.
    """
    slots = int(nodes * costs["runs at a time on a node"])
    copies = nodes * costs["MB of the data"] / costs["MB a second out of the driver's node"]
    taken = costs["seconds of a run's epochs"] + costs["seconds outside of them, warm worker"]
    free = [
        copies * (number // slots + 1) + costs["seconds to start a worker (TensorFlow, tracing)"]
        for number in range(min(slots, runs))
    ]
    heapq.heapify(free)
    driver = costs["seconds of the driver for a run (DVC's work)"]
    at_once = driver * (1 - costs["share of the driver's work after the last run"])
    ends = []
    for _ in range(runs):
        end = heapq.heappop(free) + taken
        ends.append(end)
        heapq.heappush(free, end)
    idle_until = 0.0
    for end in sorted(ends):
        idle_until = max(idle_until, end) + max(
            at_once, costs["MB of a run's outputs"] / costs["MB a second into a node"]
        )
    after = runs * driver * costs["share of the driver's work after the last run"]
    return {
        "training ends": max(ends),
        "last output recorded": idle_until,
        "dvc.lock written": idle_until + after,
        "training alone, no overhead": runs * costs["seconds of a run's epochs"] / slots,
        "driver's work": runs * driver,
    }


def print_model(runs: int, nodes: int) -> None:
    print("inputs:")
    for name, value in COSTS.items():
        print(f"  {name:<52} {value:g}")
    print(f"{runs} runs on {nodes} nodes, seconds:")
    for name, value in simulate(runs, nodes, COSTS).items():
        print(f"  {name:<52} {value:.0f}")


if __name__ == "__main__":
    main()
