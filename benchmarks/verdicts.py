"""How well the report's verdict holds, and what other rules would have said: `python -m benchmarks.verdicts`.

Thousands of studies with a known truth, from recorded runs (`python -m benchmarks.record`) or simulated:

rules    which rate to choose, on 3, 5 and 8 seeds: what a new run at that rate then reaches
levels   studies that add seeds until the verdict is settled: how often is something false said on the way?
smooth   a smooth response over the rate, a Gaussian process, against the paired tests

The tables go into docs/results/verdicts.json, which docs/verdicts.md shows.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.utils._testing import ignore_warnings
from threadpoolctl import threadpool_limits

from benchmarks import record
from pipeline.core import files
from pipeline.report.analysis import health, statistics
from pipeline.report.analysis.statistics import LOOKS, Bools, Floats

RESULTS = record.RESULTS / "verdicts.json"
CONFIDENCE, SEEDS = 0.95, (3, 5, 8)
CALM = {health.CONVERGED, health.UNSETTLED, health.IMPROVING}
"""Labels that speak against no rate."""
DECADES = (0.0001, 0.001, 0.01, 0.1)
HALF_DECADES = (*DECADES, 0.0003, 0.003, 0.03, 0.3)
Row = dict[str, str]


class Source(NamedTuple):
    """Where studies come from.

    Attributes:
        rates, means: of the grid, and their true mean accuracies.
        runs: so many seeds for each of so many studies: values (studies, rates, seeds), and whether the runs
            are in trouble by their health labels, of the same shape; False where there are none.
        step, margin: in which accuracies can change, and within which rates are equivalent.
    """

    name: str
    rates: Floats
    means: Floats
    runs: Callable[[int, int, np.random.Generator], tuple[Floats, Bools]]
    step: float = 1 / 5000
    margin: float = 0.002


def simulated(name: str, means: list[float], spreads: list[float]) -> Source:
    """Make studies of normal accuracies, counted on 5,000 images; seeds shift all rates by 0.04 points."""

    def runs(studies: int, seeds: int, noise: np.random.Generator) -> tuple[Floats, Bools]:
        own = noise.normal(0, 1, (studies, len(means), seeds)) * np.reshape(spreads, (-1, 1))
        values = np.reshape(means, (-1, 1)) + own + noise.normal(0, 0.0004, (studies, 1, seeds))
        return np.round(values * 5000) / 5000, np.zeros(values.shape, bool)

    return Source(name, np.geomspace(0.0001, 0.1, len(means)), np.array(means), runs)


def recorded(table: str, *rates: float, epochs: int = 20, last: bool = False) -> Source:
    """Draw studies from recorded runs, seeds with all their rates; the means over all seeds are the truth.

    Args:
        rates: those to compare; none for all.
        last: judge by the last epoch, not by the best.
    """
    step, margin = {"digits": (1 / 500, 0.005), "mnist": (1 / 5000, 0.002)}[table]
    runs = record.read(record.RESULTS / f"runs-{table}.csv")
    runs = runs.loc[sorted(rates) or slice(None)]
    curves = runs.filter(regex="^epoch_").iloc[:, :epochs]
    criteria = (curves.iloc[:, -1] if last else curves.max(axis=1)).unstack()
    trouble = runs.health.map(lambda labels: not CALM.issuperset(labels.split("; "))).unstack().to_numpy()
    values = criteria.to_numpy()

    def draw(studies: int, seeds: int, noise: np.random.Generator) -> tuple[Floats, Bools]:
        chosen = noise.random((studies, values.shape[1])).argsort(axis=1)[:, :seeds]
        return values[:, chosen].swapaxes(0, 1), trouble[:, chosen].swapaxes(0, 1)

    name = f"{table}, {len(values)} rates, {epochs} epochs{', last epoch' if last else ''}"
    return Source(name, criteria.index.to_numpy(float), values.mean(axis=1), draw, step, margin)


CLOSE = simulated(
    "eight rates, three within 0.2 points",
    [0.96, 0.975, 0.9795, 0.981, 0.9815, 0.981, 0.979, 0.97],
    [6e-4, 5e-4, 5e-4, 6e-4, 8e-4, 12e-4, 20e-4, 40e-4],
)
EQUAL = simulated("eight equally good rates", [0.98] * 8, [5e-4, 5e-4, 7e-4, 1e-3, 14e-4, 2e-3, 3e-3, 4e-3])
EXTREME = (
    simulated("two equally good rates, spreads 1 to 10", [0.98] * 2, [3e-4, 3e-3]),
    simulated("one best, seven just not equivalent", [0.98, *[0.978] * 7], [8e-4] * 8),
    simulated("one best that scatters, two just not equivalent", [0.978, 0.98, 0.978], [3e-4, 4e-3, 3e-4]),
)
"""Where a false statement is likeliest."""


def sources() -> Iterator[Source]:
    """Give those in which rules are compared."""
    yield recorded("mnist")
    yield recorded("mnist", *DECADES)
    yield recorded("mnist", *DECADES, last=True)
    yield recorded("digits", *HALF_DECADES)
    yield recorded("digits", *HALF_DECADES, epochs=8)
    yield recorded("digits", *DECADES)
    yield recorded("digits", *DECADES, last=True)
    yield from (CLOSE, EQUAL)


# ---- rules


COLUMNS = (
    "as good as the best, %",
    "mean of a new run, %",
    "worst tenth, %",
    "reached, %",
    "other seeds, other rate, %",
)


def choices(source: Source, values: Floats, trouble: Bools) -> Iterator[tuple[str, Floats, Floats]]:
    """Give each rule's choices, indices of rates, and the numbers that they were chosen by, of all rates.

    Each chooses among the rates that may be as good.
    """
    seeds = values.shape[-1]
    against = statistics.challenge(values, source.step, CONFIDENCE, source.margin)
    open_ = (against.p_value > 1 - CONFIDENCE) | (against.at_most < source.margin)
    means = np.where(open_, values.mean(axis=-1), -np.inf)
    near = means > means.max(axis=-1, keepdims=True) - source.margin / 2
    own = values.var(axis=-1, ddof=1) + source.step**2 / 12

    def bound(among: Bools, prior: int) -> Floats:
        """Bound a new run; the spread of several rates counts for so many degrees of freedom of each."""
        several = among.sum(axis=-1, keepdims=True)
        common = np.exp(np.mean(np.log(own), axis=-1, where=among, keepdims=True))
        degrees = np.where(several > 1, prior, 0) + seeds - 1
        shrunk = common + (own - common) * (seeds - 1) / degrees
        factor = stats.t.isf((1 - statistics.COUNTED_ON) / several, degrees)
        return np.where(among, means - factor * np.sqrt(shrunk * (1 + 1 / seeds)), -np.inf)

    low = statistics.mean_intervals(values, source.step, CONFIDENCE).low
    within = bound(near, 8)
    for rule, number in (
        ("highest mean", means),
        ("highest lower bound of the mean", np.where(open_, low, -np.inf)),
        ("highest bound for a new run", bound(open_, 0)),
        ("the same, spreads shrunk", bound(open_, 8)),
        ("the same, within half the margin of the highest mean (**chosen**)", within),
    ):
        yield rule, number.argmax(axis=-1), number
    if trouble.any():
        calm = (within - trouble.mean(axis=-1)).argmax(axis=-1)
        yield "the same, fewest runs in trouble first", calm, within


def rules(studies: int) -> list[Row]:
    """Compare the rules."""
    rows = []
    for source in sources():
        noise = np.random.default_rng(0)
        cells: dict[str, dict[str, list[str]]] = {}
        for seeds in SEEDS:
            # A new run is the next seed's: of the same study, but unknown when the choice is made.
            values, trouble = source.runs(studies, seeds + 1, noise)
            for rule, chosen, number in choices(source, values[..., :seeds], trouble[..., :seeds]):
                new = values[np.arange(studies), chosen, -1]
                reached = new >= number[np.arange(studies), chosen] - 1e-12
                shares = np.bincount(chosen) / studies
                within = source.means[chosen] > source.means.max() - source.margin
                texts = (
                    f"{100 * within.mean():.0f}",
                    f"{100 * source.means[chosen].mean():.2f}",
                    f"{100 * np.sort(new)[: studies // 10].mean():.2f}",
                    f"{100 * reached.mean():.0f}",
                    f"{100 * (1 - (shares**2).sum()):.0f}",
                )
                for column, text in zip(COLUMNS, texts, strict=True):
                    cells.setdefault(rule, {}).setdefault(column, []).append(text)
        rows += [
            {"studies": source.name, "rule": rule}
            | {column: " / ".join(texts) for column, texts in row.items()}
            for rule, row in cells.items()
        ]
    return rows


# ---- levels

Judge = Callable[[Floats, Source], tuple[Bools, Bools]]
"""From values to which rates are beaten, and which are equivalent."""


def planned(values: Floats, source: Source) -> tuple[Bools, Bools]:
    """Judge as the report does."""
    against = statistics.challenge(values, source.step, CONFIDENCE, source.margin)
    return against.p_value <= 1 - CONFIDENCE, against.at_most < source.margin


def each_look(values: Floats, source: Source) -> tuple[Bools, Bools]:
    """Judge at the full level at every look, as if it were the only one."""
    level = (1 - CONFIDENCE) * len(LOOKS)
    against = statistics.challenge(values, source.step, 1 - level, source.margin)
    return against.p_value <= level, against.at_most < source.margin


def sequence(values: Floats, source: Source) -> tuple[Bools, Bools]:
    """Judge by confidence sequences, which hold at any number of seeds (Lai 1976's, prior precision 1)."""
    rates, seeds = values.shape[-2:]
    level = 2 * (1 - CONFIDENCE) / (rates - 1)  # a lower and an upper one
    power = (level**2 / (seeds + 1)) ** (1 / seeds)
    factor = np.sqrt((seeds + 1) * (1 - power) / max(power * (seeds + 1) - 1, 1e-12))
    center, spread = _differences(values, source)
    return _judge(center, factor * spread * np.sqrt((seeds - 1) / seeds), source)


def with_shrunk_spreads(values: Floats, source: Source) -> tuple[Bools, Bools]:
    """Judge at the planned looks, the spreads of all pairs averaged with their geometric mean."""
    rates, seeds = values.shape[-2:]
    center, spread = _differences(values, source)
    logs = np.where(np.eye(rates, dtype=bool), np.nan, np.log(spread**2))
    common = np.exp(np.nanmean(logs, axis=(-2, -1), keepdims=True))
    shrunk = np.sqrt((2 * common + (seeds - 1) * spread**2) / (seeds + 1) / seeds)
    level = (1 - CONFIDENCE) / len(LOOKS) / (rates - 1)
    return _judge(center, stats.t.isf(level, seeds + 1) * shrunk, source)


def _differences(values: Floats, source: Source) -> tuple[Floats, Floats]:
    pairs = values[..., None, :, :] - values[..., :, None, :]
    return pairs.mean(axis=-1), np.sqrt(pairs.var(axis=-1, ddof=1) + source.step**2 / 6)


def _judge(center: Floats, half: Floats, source: Source) -> tuple[Bools, Bools]:
    others = ~np.eye(center.shape[-1], dtype=bool)
    beaten = ((center - half > 0) & others).any(axis=-1)
    return beaten, np.where(others, center + half, -np.inf).max(axis=-1) < source.margin


JUDGES: dict[str, Judge] = {
    "95 % at each look": each_look,
    "planned looks (**chosen**)": planned,
    "confidence sequences": sequence,
    "planned looks, spreads shrunk": with_shrunk_spreads,
}


def follow(source: Source, studies: int, judge: Judge) -> dict[str, float]:
    """Add seeds to studies until the verdict is settled or the last look is over; count false statements.

    Returns:
        Shares of the studies: `lost`, in which a best rate was called worse, for the likeliest of several;
        `wrong`, in which a rate was called equivalent that is not; `settled`; and the mean of `seeds`.
    """
    noise = np.random.default_rng(1)
    values, _ = source.runs(studies, LOOKS[-1], noise)
    best = source.means >= source.means.max() - 1e-9
    far = source.means <= source.means.max() - source.margin + 1e-9
    lost, wrong = np.zeros((studies, int(best.sum())), bool), np.zeros(studies, bool)
    seeds, going = np.zeros(studies), np.arange(studies)
    for look in LOOKS:
        part = values[going, :, :look]
        beaten, equivalent = judge(part, source)
        lost[going] |= (beaten & ~equivalent)[:, best]
        wrong[going] |= (equivalent & far).any(axis=-1)
        seeds[going] = look
        chosen = np.where(beaten & ~equivalent, -np.inf, part.mean(axis=-1)).argmax(axis=-1)
        alone = (beaten & ~equivalent).sum(axis=-1) == len(source.means) - 1
        going = going[~(np.take_along_axis(equivalent, chosen[:, None], axis=1)[:, 0] | alone)]
    return {
        "lost": float(lost.mean(axis=0).max()),
        "wrong": float(wrong.mean()),
        "settled": 1 - len(going) / studies,
        "seeds": float(seeds.mean()),
    }


def levels(studies: int) -> list[Row]:
    """Compare ways to look again."""
    rows = []
    for source in (*sources(), *EXTREME):
        for name, judge in JUDGES.items():
            said = follow(source, studies, judge)
            rows.append(
                {
                    "studies": source.name,
                    "tests": name,
                    "best called worse": f"{100 * said['lost']:.1f} %",
                    "wrongly equivalent": f"{100 * said['wrong']:.1f} %",
                    "settled by 20 seeds": f"{100 * said['settled']:.0f} %",
                    "seeds, mean": f"{said['seeds']:.1f}",
                }
            )
    return rows


# ---- smooth


@ignore_warnings(category=ConvergenceWarning)
def probably_within(values: Floats, source: Source) -> Floats:
    """Fit a Gaussian process to a study, and give the probability of each rate to be within the margin.

    Over the log of the rate it describes the log of the error, each mean with its own standard error.
    """
    seeds = values.shape[-1]
    error = np.maximum(1 - values.mean(axis=-1), 1e-4)
    variance = (values.var(axis=-1, ddof=1) + source.step**2 / 12) / seeds / (error * np.log(10)) ** 2
    kernel = ConstantKernel(0.3, (1e-3, 100)) * Matern(1.0, (0.3, 10), nu=2.5)
    logs, rates = np.log10(error), np.log10(source.rates)[:, None]
    process = GaussianProcessRegressor(kernel, alpha=variance).fit(rates, logs - logs.mean())
    drawn = 1 - 10 ** (process.sample_y(rates, 1000, random_state=0) + logs.mean())
    return (drawn > drawn.max(axis=0) - source.margin).mean(axis=1)


def smooth(studies: int) -> list[Row]:
    """Compare a smooth response with the paired tests, both at one look."""
    rows = []
    for source in (source for source in sources() if source.name.endswith("20 epochs")):
        noise, inside = np.random.default_rng(2), source.means > source.means.max() - source.margin
        for seeds in SEEDS:
            values, _ = source.runs(studies, seeds, noise)
            probability = np.stack([probably_within(study, source) for study in values])
            level = (1 - CONFIDENCE) * len(LOOKS)
            against = statistics.challenge(values, source.step, 1 - level, source.margin)
            for name, sure, out in (
                ("paired tests", against.at_most < source.margin, against.at_least > source.margin),
                ("Gaussian process", probability >= CONFIDENCE, probability <= 1 - CONFIDENCE),
            ):
                rows.append(
                    {
                        "studies": source.name,
                        "seeds": str(seeds),
                        "by": name,
                        "some rate wrongly inside": f"{100 * (sure & ~inside).any(axis=-1).mean():.0f} %",
                        "some rate wrongly outside": f"{100 * (out & inside).any(axis=-1).mean():.0f} %",
                        "of those inside, shown": f"{100 * sure[:, inside].mean():.0f} %",
                        "of those outside, shown": f"{100 * out[:, ~inside].mean():.0f} %",
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--studies", type=int, default=2000, help="of each kind (2000; for smooth a tenth)")
    studies = parser.parse_args().studies
    with threadpool_limits(1):  # of small matrices, threads would only wait for each other
        tables = {"rules": rules(studies), "levels": levels(studies), "smooth": smooth(studies // 10)}
    content = {"studies": studies} | tables
    files.write_text(RESULTS, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
