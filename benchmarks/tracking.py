"""What MLflow costs: `python -m benchmarks.tracking [live] [publish] [growth]`; without a name, all three.

live     a training's 500 epochs of 9 measures, which the process that follows its log sends on, to SQLite
         and to a server: the time that the training waits, and the processor time of that process.
         Nothing is trained here; the epochs come at their real pace for a while, then quickly
publish  `python -m pipeline publish` of 12 runs of 20 epochs, sizes as in the default study, on a fresh
         SQLite store; then once more with nothing to do
growth   the same for growing numbers of small runs of 3 epochs

The time of an epoch is the one that `make bench` measured last (docs/benchmarks.json), unless it is given.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks import made_up, measured, report
from pipeline import params
from pipeline.core import files, runs
from pipeline.tracking import data, live_log
from pipeline.tracking.live_log import LiveLog

PARTS = ("live", "publish", "growth")
ROOT = Path(__file__).resolve().parents[1]
_HOST = "127.0.0.1"
_EPOCHS, _SPARE = 500, 1  # the study's eight measures and one more
_CATCHING_UP, _SAMPLED = 6, 12
"""The last epochs come at their real pace again: until all others are sent, and while the tracking process'
work is measured."""

_QUIET = 0.2  # share of a core below which it has started: until then, epochs come at their real pace, too

_QUICK = 0.01  # seconds of each other epoch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", help="live, publish, growth")
    parser.add_argument("--epoch-seconds", type=float, default=_measured_epoch())
    parser.add_argument("--runs", type=int, nargs="+", default=[125, 250, 500, 1000], help="of growth")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"expected {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    parts = chosen.parts or PARTS
    with tempfile.TemporaryDirectory(prefix="tracking-") as name:
        scratch = Path(name)
        scaled = made_up.data(scratch / "scaled")
        if "live" in parts:
            print_live(scratch, scaled, chosen.epoch_seconds)
        if "publish" in parts:
            print_publish(scratch, scaled)
        if "growth" in parts:
            print_growth(scratch, scaled, chosen.runs)


# ---- live


def print_live(scratch: Path, scaled: Path, epoch_seconds: float) -> None:
    root = made_up.study(scratch / "live", scaled, [0.001], 1, _EPOCHS)
    (key,) = made_up.write_runs(root, spare=_SPARE)
    rows = [live(root, "SQLite", f"sqlite:///{root / 'mlflow.db'}", key, epoch_seconds)]
    with serving(scratch / "server") as address:
        rows.append(live(root, "server", address, key, epoch_seconds))
    print(f"{_EPOCHS} epochs, {len(made_up.names(_SPARE))} measures each, of {epoch_seconds:.2f} s: seconds")
    print(made_up.table(rows))


def live(root: Path, name: str, uri: str, key: str, epoch_seconds: float) -> dict[str, str]:
    """Play a training as the train stage does it, in a process of its own."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_"))}
    variables["MLFLOW_TRACKING_URI"] = uri
    program = f"from benchmarks import tracking; tracking.play({key!r}, {epoch_seconds})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    took = json.loads(done.stdout)
    waited = took["start"] + took["epochs"] + took["end"]
    training = _EPOCHS * epoch_seconds
    beside = took["outside"] + _EPOCHS * took["an epoch"]
    threads = params.load(root / "params.yaml").train.threads
    return {
        "MLflow at": name,
        "start": f"{took['start']:.3f}",
        f"{_EPOCHS} epochs sent": f"{took['epochs']:.3f}",
        "slowest": f"{took['slowest']:.4f}",
        "end": f"{took['end']:.2f}",
        "training waits": f"{waited:.2f}",
        "of its time": f"{waited / training:.2%}",
        "processor beside it": f"{beside:.1f}",
        f"of {threads} cores' time": f"{beside / training / threads:.2%}",
        "delivered": took["status"],
    }


def play(key: str, epoch_seconds: float) -> None:
    """Play a training in the current folder; print what it waited for, and what was used beside it."""
    (rate,), (seed,) = params.load().train.learning_rates, params.load().train.seeds
    folder = runs.folder(Path("runs"), rate, seed)
    table = runs.read(Path("runs"), rate, seed).history.to_dict("records")
    epochs, waits = iter(table), []

    def send(seconds: float) -> None:
        for measures in itertools.islice(epochs, 1):
            time.sleep(seconds)
            began = time.perf_counter()
            log.epoch(int(measures["epoch"]), measures)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    with LiveLog(params.load(), data.read(), rate, seed, key) as log:
        start = time.perf_counter() - began
        process = _follower()
        used = [0.0, 0.0, 0.0, 0.0]
        while used[-1] < 1 or used[-1] - used[-4] > 3 * _QUIET * epoch_seconds:
            send(epoch_seconds)
            used.append(_processor(process))
        settled = len(waits)
        while len(waits) < len(table) - _CATCHING_UP - _SAMPLED:
            send(_QUICK)
        for _ in range(_CATCHING_UP):
            send(epoch_seconds)
        before = _processor(process)
        for _ in range(_SAMPLED):
            send(epoch_seconds)
        an_epoch = (_processor(process) - before) / _SAMPLED
        began = time.perf_counter()
        log.finish(folder)
    end = time.perf_counter() - began
    while live_log.paths():
        time.sleep(0.1)
    result = {
        "start": start,
        "epochs": sum(waits),
        "slowest": max(waits),
        "end": end,
        "an epoch": an_epoch,
        "outside": _processor(process) - an_epoch * (settled + _CATCHING_UP + _SAMPLED),
        "status": status(key),
    }
    process.wait()  # the next store has a follower of its own
    print(json.dumps(result))


def _follower() -> psutil.Process:
    """Find the process that follows the logs of the current folder."""
    while True:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-2:] == ["pipeline", "follow"] and process.cwd() == str(Path.cwd()):
                    return process
        time.sleep(0.05)


def status(key: str) -> str:
    """Ask MLflow for the run's status, and how many values of its first measure it has."""
    from pipeline.tracking import store

    opened = store.open_store(params.load().data.dataset)
    (run,) = opened.find(key)
    rows = opened.client.get_metric_history(run.info.run_id, runs.CURVES[0])
    return f"{run.info.status.lower()}, {len(rows)} epochs"


def _processor(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system + used.children_user + used.children_system


def _measured_epoch() -> float:
    tables = files.read_json(ROOT / "docs/benchmarks.json")["tables"]
    (row,) = [row for row in tables["A train stage as a whole process"] if row["what"] == "inside, an epoch"]
    return float(row["median"].removesuffix(" s"))


@contextlib.contextmanager
def serving(root: Path) -> Iterator[str]:
    """Run MLflow's server as a team does, artifacts through it; give its address."""
    root.mkdir()
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers=1"]
    command += ["--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(root / "artifacts")]
    variables = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=root, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + 180
        while server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError), direct.open(f"http://{_HOST}:{port}/health", timeout=5):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"MLflow's server did not start: {(root / 'log').read_text()[-2000:]}")
        yield f"http://{_HOST}:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


# ---- publish, growth


def print_publish(scratch: Path, scaled: Path) -> None:
    root = made_up.study(scratch / "publish", scaled, made_up.rates(4), 3, 20)
    made_up.write_runs(root)
    made_up.write_range_test(root)
    report.report(root)
    rows = [
        {"12 runs of 20 epochs": what, "seconds": f"{cost.seconds:.1f}"}
        | {"processor": f"{cost.processor:.1f}", "peak": f"{cost.peak:.0f} MB"}
        for what in ("publish", "publish again")
        for cost in [measured.measure(root, "pipeline", "publish")]
    ]
    print(made_up.table(rows))


def print_growth(scratch: Path, scaled: Path, counts: Sequence[int]) -> None:
    rows, costs = [], []
    for count in sorted(counts):
        seeds = 5 if count % 5 == 0 else 1
        root = made_up.study(scratch / f"growth-{count}", scaled, made_up.rates(count // seeds), seeds, 3)
        made_up.write_runs(root, network=4000, predictions=100)
        files.write_json(root / "report/verdict.json", {"learning_rate": 0.1, "headline": "Made up."})
        first, again = (measured.measure(root, "pipeline", "publish") for _ in range(2))
        costs.append(first)
        rows.append(
            {
                "small runs": str(count),
                "seconds": f"{first.seconds:.1f}",
                "processor": f"{first.processor:.1f}",
                "ms a run": f"{1e3 * first.seconds / count:.0f}",
                "peak": f"{first.peak:.0f} MB",
                "again": f"{again.seconds:.1f}",
                "again, processor": f"{again.processor:.1f}",
            }
        )
    print(made_up.table(rows))
    growth = made_up.exponent(sorted(counts), [cost.seconds for cost in costs])
    work = made_up.exponent(sorted(counts), [cost.processor for cost in costs])
    print(f"  seconds grow as runs to the power of {growth:.2f}, processor time {work:.2f}")


if __name__ == "__main__":
    main()
