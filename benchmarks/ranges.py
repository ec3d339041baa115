"""How far range tests' suggestions lie from the best rate: `python -m benchmarks.ranges`.

On the recorded studies (`python -m benchmarks.record`), whose best rates are known: from each seed a range
test as this project, fastai and Lightning do it by default, and what their rules read from it. The table goes
into docs/results/ranges.json, which docs/verdicts.md shows.
"""

import argparse
import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks import record
from benchmarks.verdicts import Row, Source, recorded
from pipeline.core import files, network_files
from pipeline.core import task as tasks
from pipeline.params import Params
from pipeline.range_test import rules
from pipeline.report.analysis.statistics import Floats

RESULTS = record.RESULTS / "ranges.json"


class Test(NamedTuple):
    """A range test's settings, those of the section `range_test` of params.yaml."""

    lowest: float
    highest: float
    steps: int
    smoothing: float
    stop: float


# Theirs as of fastai's callback.schedule and Lightning's tuner.lr_finder, November 2026.
FASTAI, LIGHTNING = Test(1e-7, 10, 100, 0.98, 4), Test(1e-8, 1, 100, 0.98, 4)


def fastai(rates: Floats, curve: Floats) -> dict[str, float]:
    """Apply fastai's rules, without the first tenth of the steps and the last five."""
    rates, curve = rates[10:-5], curve[10:-5]
    lengths = np.ones(len(curve), int)
    for end in range(1, len(curve)):
        lengths[end] = 1 + lengths[:end].max(where=curve[:end] > curve[end], initial=0)
    end, slopes = int(lengths.argmax()), np.gradient(curve)
    third = int(lengths[end]) / 3
    right = len(curve) - 1
    while right - 15 > 0 and abs(slopes[right] - slopes[right - 15]) > 0.005:
        right -= 1
    return {
        "valley": rates[end - lengths[end] + int(third) + int(third / 2)],
        "slide": rates[right - 15],
        "minimum": rates[curve.argmin()] / 10,
        "steep": rates[(np.diff(curve) / np.diff(np.log(rates))).argmin()],
    }


def lightning(rates: Floats, curve: Floats) -> dict[str, float]:
    """Apply Lightning's rule, the steepest fall, without the first ten steps and the last."""
    rates, curve = rates[10:-1], curve[10:-1]
    return {
        "steepest over the rate": rates[np.gradient(curve, rates).argmin()],
        "steepest over the steps, as earlier versions": rates[np.gradient(curve).argmin()],
    }


def ranges(name: str, study: Params) -> list[Row]:
    """Compare the rules' suggestions with the best rate of the study that was recorded under the name."""
    own = study.range_test
    ours = Test(own.lowest, own.highest, own.steps, own.smoothing, own.stop)
    source, rows = recorded(name), []
    compared: tuple[tuple[str, Test, Callable[[Floats, Floats], dict[str, float]]], ...] = (
        ("this project", ours, rules.suggest),
        ("fastai", FASTAI, fastai),
        ("Lightning", LIGHTNING, lightning),
    )
    for library, test, rule in compared:
        rates = np.geomspace(test.lowest, test.highest, test.steps)
        curves = [rules.smooth(row, test.smoothing, test.stop) for row in losses(study, rates)]
        suggested = [
            rule(rates, curve) if library == "this project" else rule(*ended(rates, curve))
            for curve in curves
        ]
        for key in suggested[0]:
            row = describe(source, np.array([rates[key] for rates in suggested]))
            rows.append({"study": name, "test": library, "rule": key} | row)
    return rows


def ended(rates: Floats, curve: Floats) -> tuple[Floats, Floats]:
    """Cut off what is not there any more once the loss ran away."""
    known = np.isfinite(curve)
    return rates[known], curve[known]


def losses(study: Params, rates: Floats) -> Floats:
    """Train from each seed while the rate rises; shape (seeds, rates)."""
    from pipeline.range_test import training
    from pipeline.train import examples
    from pipeline.train.loop import Trainer
    from pipeline.train.networks import Builder

    scaled = record.Path("data/scaled")
    task = tasks.read(scaled)
    train = examples.read(scaled, "train", task)
    file = network_files.read(study.network.file)
    builder = Builder(file, task, study.network.values, study.train.precision)
    trainer = Trainer(builder, lambda: train, train, study)
    return training.losses(trainer, rates, study.train.seeds, task.sizes["train"], study.train.batch_size)


def describe(source: Source, suggested: Floats) -> Row:
    """Hold a rule's suggestions, one a seed, against the recorded means, with straight lines between them."""
    reached = np.interp(np.log(suggested), np.log(source.rates), source.means)
    lost = 100 * (source.means.max() - reached)
    octaves = np.log2(suggested / source.rates[source.means.argmax()])
    low, high = np.quantile(octaves, (0.1, 0.9))
    half = stats.sem(lost) * stats.t.ppf(0.975, len(lost) - 1)
    return {
        "suggests, median": f"{np.median(suggested):.1g}",
        "octaves from the best": f"{np.median(octaves):+.1f} ({low:+.1f} to {high:+.1f})".replace(
            "-", "\N{MINUS SIGN}"
        ),
        "points lost": f"{lost.mean():.2f} (± {half:.2f})",
        "as good as the best": f"{100 * np.mean(lost < 100 * source.margin):.0f} %",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranges", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=50, help="seeds from 0 (50)")
    seeds = range(parser.parse_args().seeds)
    from pipeline.train import backend

    backend.configure(2)
    rows = []
    for name in record.STUDIES:
        with record.prepared(name, record.RATES, seeds, 20) as study:
            rows += ranges(name, study)
    files.write_text(
        RESULTS, json.dumps({"seeds": len(seeds), "ranges": rows}, indent=1, ensure_ascii=False) + "\n"
    )


if __name__ == "__main__":
    main()
