"""Train many seeds of many rates, and keep what they reach: `python -m benchmarks.record NAME`.

The table, `docs/results/runs-NAME.csv`, is what `python -m benchmarks.verdicts` draws studies from: each row
a run, its rate and seed, its health labels, and its validation accuracy after each epoch. One process trains
run after run, seed by seed; interrupted and started again, it goes on after the last run written.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from benchmarks import sweep
from pipeline import params
from pipeline.core import network_files, run_keys, runs
from pipeline.core import task as tasks
from pipeline.download.stage import download
from pipeline.params import Params
from pipeline.report.analysis import comparison
from pipeline.report.analysis.setting import Setting
from pipeline.scale.stage import scale
from pipeline.tools import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results"
RATES = (0.0001, 0.0003, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3)
STUDIES: dict[str, dict[str, object]] = {
    "mnist": {"train.threads": 2},
    "digits": {
        "data.dataset": "digits",
        "data.validation_size": 500,
        "network.values.hidden_units": 100,
        "train.batch_size": 64,
        "train.threads": 1,
    },
}
"""Of each table: how its study differs from params.yaml."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seeds", type=int, default=100, help="seeds from 0 (100)")
    parser.add_argument("--epochs", type=int, default=20)
    chosen = parser.parse_args()
    with prepared(chosen.name, sorted(chosen.rates), range(chosen.seeds), chosen.epochs) as study:
        record(RESULTS / f"runs-{chosen.name}.csv", study)


@contextlib.contextmanager
def prepared(name: str, rates: Sequence[float], seeds: Sequence[int], epochs: int) -> Iterator[Params]:
    """Make a study's data in a scratch copy of the checkout, the current folder meanwhile."""
    mirrors = params.load(ROOT / "params.yaml").data.mirrors.mnist
    changes = STUDIES[name] | {
        "data.mirrors.mnist": [mirror if "://" in mirror else str(ROOT / mirror) for mirror in mirrors],
        "train.learning_rates": list(rates),
        "train.seeds": list(seeds),
        "train.epochs": epochs,
    }
    with tempfile.TemporaryDirectory(prefix="record-") as scratch:
        root = sweep.project(Path(scratch) / "study", changes)
        os.environ["DVC_ROOT"] = str(root)
        with contextlib.chdir(root):
            download(Path("data/raw"))
            scale(Path("data/raw"), Path("data/scaled"))
            yield params.load()


def record(table: Path, study: Params) -> None:
    """Train the runs of the study that the table lacks, and append each at once."""
    from pipeline.train import backend, examples, signals

    backend.configure(study.train.threads)
    from pipeline.train.runner import Runner

    task = tasks.read(Path("data/scaled"))
    parts = {part: examples.read(Path("data/scaled"), part, task) for part in examples.PARTS}
    runner = Runner(study, network_files.read(study.network.file), task, parts.__getitem__)
    inputs = run_keys.inputs(study.values())
    if not table.exists():
        here = machine.describe("CPU")
        described = ", ".join(f"{key} {here[key]}" for key in ("tensorflow", "numpy", "processor"))
        epochs = ",".join(f"epoch_{epoch}" for epoch in range(1, study.train.epochs + 1))
        held_out = f"{task.sizes['validation']} validation examples"
        table.write_text(f"# {task.dataset}, {held_out}; {described}\nlearning_rate,seed,health,{epochs}\n")
    known = {(rate, seed) for rate, seed in read(table).index}
    with signals.deferred() as interruption:
        for seed in study.train.seeds:
            for rate in study.train.learning_rates:
                if (rate, seed) not in known:
                    key = run_keys.key_of(inputs, rate, seed)
                    folder = runs.folder(Path("runs"), rate, seed)
                    runner.run(rate, seed, key, folder, interruption, lambda *_: None)
                    run = runs.read(Path("runs"), rate, seed)
                    health = comparison.tabulate([run], Setting(task, study)).health[0]
                    accuracies = [f"{accuracy:.4g}" for accuracy in run.history["val_accuracy"]]
                    blanks = [""] * (study.train.epochs - len(accuracies))
                    with table.open("a") as stream:
                        stream.write(",".join([str(rate), str(seed), health, *accuracies, *blanks]) + "\n")


def read(table: Path) -> pd.DataFrame:
    """Read a table of recorded runs, by rate and seed."""
    return pd.read_csv(table, comment="#").set_index(["learning_rate", "seed"]).sort_index()


if __name__ == "__main__":
    main()
