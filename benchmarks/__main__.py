"""`make bench`: an epoch, a stage and growth, measured in one run; tables here and in docs/benchmarks.md."""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks import made_up, measured
from benchmarks.checkout import scratch_copy
from docs import render
from pipeline import params
from pipeline.core import files, runs
from pipeline.core import task as tasks
from pipeline.core.task import Task
from pipeline.params import Params, reading
from pipeline.tools import machine, programs
from pipeline.train import backend, examples
from pipeline.train.examples import Examples

Row = dict[str, str | float]
HIDDEN = 1000
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds in which the contenders take turns")
    parser.add_argument("--isa", help="print only the epochs, with oneDNN limited to this: AVX2")
    chosen = parser.parse_args()
    scaled = ROOT / "data/scaled"
    if not (scaled / tasks.FILE).exists():
        print("error: expected data/scaled, found none. Run `dvc repro scale` first.", file=sys.stderr)
        return 1
    study = params.load(ROOT / "params.yaml")
    backend.configure(study.train.threads)
    if chosen.isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = chosen.isa  # `configure` takes it away
    task, held_out = tasks.read(scaled), runs.held_out_part(study.data.validation_size)
    train, validation = (examples.read(scaled, part, task) for part in ("train", held_out))
    table, rate = epoch(train, validation, study, task, chosen.rounds)
    if chosen.isa:
        print(made_up.table(table))
        return 0
    tables = {
        "An epoch": table,
        "A train stage as a whole process": process(),
        "The whole study": whole(study, task, rate),
        "Growth": growth(train, validation, study, task),
    }
    described = machine.describe() | {
        "images": f"{len(train.labels)} training, {len(validation.labels)} validation"
    }
    content = {"rounds": chosen.rounds, "machine": described, "tables": tables}  # in the order of the page
    files.write_text(ROOT / "docs/benchmarks.json", json.dumps(content, indent=2) + "\n")
    render.render(*render.pages())  # README has an epoch, too
    render.benchmarks()
    return 0


def epoch(
    train: Examples, validation: Examples, study: Params, task: Task, rounds: int
) -> tuple[list[Row], float]:
    """Time each contender once a round, in turn, and the machine's product rate, in GFLOP/s."""
    from benchmarks import contenders

    data = train, validation, study, task
    epochs: dict[str, contenders.Epoch] = {
        "model.fit, stock Keras": contenders.stock_fit(train, validation, HIDDEN),
        "this loop, float32": contenders.this_loop(*data),
        "this loop, float32, unlit inputs left in": contenders.this_loop(*data, narrowed=False),
        "this loop, float32, products as the libraries cut them": contenders.this_loop(*data, defined=False),
    }
    if "ONEDNN_MAX_CPU_ISA" not in os.environ:  # AVX2 has none
        epochs["this loop, bfloat16"] = contenders.this_loop(*data, precision="bfloat16")
    if contenders.installed("torch"):
        epochs["PyTorch, plain loop"] = contenders.torch_loop(train, validation, HIDDEN)
    if contenders.installed("jax"):
        epochs["JAX, plain loop"] = contenders.jax_loop(train, validation, HIDDEN)
    multiply = contenders.products(HIDDEN)
    work = contenders.operations(len(train.labels), len(validation.labels), HIDDEN)
    seconds: dict[str, list[float]] = {name: [] for name in epochs}
    rates, shares = [], []
    for number in range(rounds + 1):  # the first round compiles and does not count
        took = {name: timed(run)[0] for name, run in epochs.items()}
        once, done = timed(multiply)
        if number:
            for name in epochs:
                seconds[name].append(took[name])
            rates.append(done / once / 1e9)
            shares.append(work / took["this loop, float32"] / 1e9 / rates[-1])
    stock = seconds["model.fit, stock Keras"]
    rows: list[Row] = [
        {
            "what": name,
            "median": f"{statistics.median(each):.2f} s",
            "least": f"{min(each):.2f} s",
            "times as fast as model.fit": round(
                statistics.median(a / b for a, b in zip(stock, each, strict=True)), 2
            ),
        }
        for name, each in seconds.items()
    ]
    rows += [
        {"what": "matrix products alone", "median": f"{statistics.median(rates):.0f} GFLOP/s"},
        {"what": "an epoch's products", "median": f"{work / 1e9:.0f} GFLOP"},
        {"what": "share of that rate, float32 loop", "median": f"{statistics.median(shares):.0%}"},
    ]
    return rows, statistics.median(rates)


def whole(study: Params, task: Task, rate: float) -> list[Row]:
    """Time the runs of one seed by `dvc repro` and by a sweep: which share would their products alone take?

    Args:
        rate: of matrix products, in GFLOP/s.
    """
    from benchmarks import contenders

    runs = len(study.train.learning_rates)
    work = contenders.operations(task.sizes["train"], task.sizes["validation"] or task.sizes["test"], HIDDEN)
    products = runs * study.train.epochs * work / 1e9 / rate
    rows: list[Row] = [{"what": f"the products of {runs} runs at that rate", "median": f"{products:.0f} s"}]
    for name, command in {
        "dvc repro": ("dvc", "repro", "-q", "train"),
        "sweep": ("pipeline", "sweep"),
    }.items():
        with scratch_copy() as copy:
            changes = {"train.seeds": [0], "data.mirrors.mnist": [str((ROOT / "data/raw").resolve())]}
            reading.override(copy / "params.yaml", changes)
            programs.dvc("repro", "-q", "scale", folder=copy)
            seconds = measured.measure(copy, *command).seconds
        rows.append({"what": name, "median": f"{seconds:.0f} s"})
        rows.append({"what": f"share of {name}", "median": f"{products / seconds:.0%}"})
    return rows


def process() -> list[Row]:
    """Time two train stages that differ in their epochs alone: the slope is an epoch, the rest is outside."""
    command = ("pipeline", "train", "--learning_rate", "0.001", "--seed", "0", "data/scaled", "runs")
    with scratch_copy() as copy:
        shutil.copytree(ROOT / "data/scaled", copy / "data/scaled", copy_function=os.link)
        text = (copy / "params.yaml").read_text(encoding="utf-8")
        points = []
        for epochs in (2, 8, 2, 8):
            files.write_text(copy / "params.yaml", text.replace("epochs: 20", f"epochs: {epochs}"))
            points.append((epochs, measured.measure(copy, *command)))
    few, many = ([cost for count, cost in points if count == wanted] for wanted in (2, 8))
    seconds = [statistics.median(cost.seconds for cost in group) for group in (few, many)]
    an_epoch = (seconds[1] - seconds[0]) / 6
    return [
        {
            "what": "outside the epochs: start, load, log, save",
            "median": f"{seconds[0] - 2 * an_epoch:.1f} s",
        },
        {"what": "inside, an epoch", "median": f"{an_epoch:.2f} s"},
        {"what": "peak memory of the process", "median": f"{max(cost.peak for _, cost in points):.0f} MB"},
    ]


def growth(train: Examples, validation: Examples, study: Params, task: Task) -> list[Row]:
    """Time 1, 2, 4, 8 times the epochs, the images, the hidden units; note the memory held afterwards."""
    from benchmarks import contenders

    eighth, factors = len(train.labels) // 8, (1, 2, 4, 8)
    rows: list[Row] = []

    def measure(what: str, sizes: Callable[[int], tuple[int, int, int]]) -> None:
        row: Row = {"what": what}
        seconds = []
        for factor in factors:
            epochs, size, units = sizes(factor)
            part = Examples(*(array[:size] for array in train))
            run = contenders.this_loop(part, validation, study, task, hidden_units=units, epochs=epochs + 1)
            run()  # compiles
            seconds.append(timed(lambda run=run, epochs=epochs: [run() for _ in range(epochs)])[0])
            row[f"x {factor}"] = f"{seconds[-1]:.2f} s"
        row["exponent"] = round(made_up.exponent(factors, seconds), 2)
        row["memory"] = f"{psutil.Process().memory_info().rss / 1e6:.0f} MB"
        rows.append(row)

    measure(f"epochs, from 1 ({eighth} images)", lambda k: (k, eighth, HIDDEN))
    measure(f"images, from {eighth} (2 epochs)", lambda k: (2, eighth * k, HIDDEN))
    measure(f"hidden units, from 250 ({eighth} images, 4 epochs)", lambda k: (4, eighth, 250 * k))
    return rows


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    sys.exit(main())
