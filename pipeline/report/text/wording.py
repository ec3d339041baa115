"""Numbers, lists and names as a reader meets them, alike in page, summary, charts and sentences."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from pipeline.report.analysis.health import LABELS, TOO_SHORT
from pipeline.report.analysis.setting import Setting
from pipeline.report.analysis.statistics import Floats
from pipeline.report.analysis.status import (
    CHOSEN,
    DIVERGED,
    EQUIVALENT,
    NOT_DISTINGUISHABLE,
    UNKNOWN,
    WORSE,
)
from pipeline.report.analysis.verdict import RateVerdict, Verdict

Item = TypeVar("Item")
_BEST_FIRST = (CHOSEN, EQUIVALENT, NOT_DISTINGUISHABLE, UNKNOWN, WORSE, DIVERGED)
_CRITERIA = {"best_epoch": "best {} accuracy", "last_epoch": "final {} accuracy"}


def rate(value: float) -> str:
    """Write a learning rate as decimals, the way params.yaml wants it: 0.00003, 1.0."""
    return np.format_float_positional(value, trim="0")


def rough(value: float) -> str:
    """Write a rate with two significant digits: the range test is no more precise."""
    return rate(float(f"{value:.1e}"))


def percent(share: float, digits: int = 2) -> str:
    """Write a measured share: 98.42 %."""
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def share(value: float) -> str:
    """Write a configured share as it was given: 3 %, 0.4 %."""
    return f"{100 * value:g} %"


def points(difference: float, digits: int = 2) -> str:
    """Write a difference of two shares in percentage points, with its sign; 0.00 has none."""
    if math.isnan(difference):
        return "–"
    text = f"{100 * difference:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if not text.strip("+\N{MINUS SIGN}0.") else text


def p_value(value: float) -> str:
    """Write a p-value to three decimals."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float, digits: int = 3) -> str:
    """Write significant digits, without an exponent where it can be avoided."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}g}"


def bounds(interval: RateVerdict) -> str:
    """Write a rate's interval; parts outside of 0 and 1 are not shown."""
    if math.isnan(interval.low):
        return "–"
    return f"{percent(max(interval.low, 0.0)).removesuffix(' %')} to {percent(min(interval.high, 1.0))}"


def listed(items: Sequence[str]) -> str:
    """Join as in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def rates(values: Sequence[float]) -> str:
    """Join learning rates as in a sentence."""
    return listed([rate(value) for value in values])


def neighbours(values: Sequence[float], grid: Sequence[float]) -> list[list[float]]:
    """Split rates, rising, where the grid has others between them."""
    numbered = enumerate(grid.index(value) for value in values)
    groups = itertools.groupby(numbered, lambda item: item[1] - item[0])
    return [[grid[index] for _, index in group] for _, group in groups]


def spans(values: Sequence[float], grid: Sequence[float]) -> str:
    """Join learning rates as in a sentence, three or more neighbours of the grid as a range."""
    items: list[str] = []
    for group in neighbours(values, grid):
        names = [rate(value) for value in group]
        items += names if len(names) < 3 else [f"{names[0]} to {names[-1]} ({len(names)} rates)"]
    return listed(items)


def low_to_high(values: Sequence[float]) -> str:
    """Write the lowest and the highest of some shares in percentage points: 0.31 to 3.40."""
    ends = [points(value).lstrip("+") for value in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def some(items: Sequence[Item], most: int) -> list[Item]:
    """Pick at most so many, evenly spread from the first to the last."""
    picked = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[index] for index in picked]


def counted(count: int, noun: str) -> str:
    """Write a number of things: 1 seed, 3 seeds."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def criterion(name: str, held_out: str) -> str:
    """Name what rates are compared by: `best validation accuracy`, say."""
    return _CRITERIA[name].format(held_out)


def facts(setting: Setting) -> dict[str, str | int]:
    """Name what was trained on what, each fact in a few words, by its key in verdict.json.

    Of an optimizer, the values that differ from their defaults.
    """
    task, params = setting
    optimizer = params.optimizer.model_dump(exclude_defaults=True)
    schedule = params.schedule.model_dump()
    if not schedule["warmup"]:
        del schedule["warmup"]
    return {
        "input_shape": " × ".join(map(str, task.shape)),
        "classes": len(task.classes),
        "network": _with_values(params.network.file, params.network.values),
        "optimizer": _with_values(optimizer.pop("name"), optimizer),
        "schedule": _with_values(schedule.pop("name"), schedule),
    }


def _with_values(name: str, values: Mapping[str, object]) -> str:
    listed = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return f"{name} ({listed})" if listed else name


def size(verdict: Verdict) -> str:
    """Describe the study in a line."""
    counts = (
        (len(verdict.rates), "rate"),
        (len(verdict.seeds), "seed"),
        (verdict.setting.params.train.epochs, "epoch"),
    )
    return " × ".join(counted(*count) for count in counts)


def ranked(verdict: Verdict) -> list[RateVerdict]:
    """Sort the rates: the chosen one, those that may be as good, the others; of each, highest mean first."""
    return sorted(verdict.rates, key=lambda rate: (_BEST_FIRST.index(rate.status), -np.nan_to_num(rate.mean)))


def labels(rates: Sequence[RateVerdict]) -> str:
    """List health labels with the number of runs that have them: `stuck 3/3, oscillating 2/3`."""
    runs = sum(len(rate.values) for rate in rates)
    counts = sum((Counter(rate.labels) for rate in rates), Counter[str]())
    return ", ".join(f"{label} {counts[label]}/{runs}" for label in (*LABELS, TOO_SHORT) if counts[label])


def reach(epochs: Floats, configured: int) -> str:
    """Write the median of the seeds' epochs to an accuracy, NaN for never: `4 (3–5)`, `14 (12–never)`."""
    if np.isnan(epochs).all():
        return f"not in {configured}"
    later = np.nan_to_num(epochs, nan=np.inf)
    ends = (later.min(), np.median(later), later.max())
    low, middle, high = (f"{end:g}".replace("inf", "never") for end in ends)
    return middle + (f" ({low}–{high})" if low != high else "")
