"""Is the grid of rates wide and fine enough, and what should be tried next? Pure.

The lines that it proposes can be pasted over those of params.yaml; DVC then trains only what is new.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.report.text import wording

_ENOUGH_SEEDS = 5
_TOO_FEW_SEEDS = 2
"""With so few, rates far apart are not told apart either: that one lies at the edge would mean nothing."""
_WIDEST_STEP, _NARROWEST_STEP = 10.0, 2.0


class Advice(NamedTuple):
    """Attributes:

    findings: what is open, in sentences; empty if nothing is.
    lines: what to put into params.yaml, as YAML; empty if nothing.
    """

    findings: tuple[str, ...]
    lines: str


def advise(
    rates: Sequence[float],
    seeds: Sequence[int],
    epochs: int,
    chosen: float | None,
    others: Sequence[float] | None,
    *,
    improving: bool,
    coarse_ratio: float,
) -> Advice:
    """Say what the study leaves open.

    Args:
        rates: all configured ones, in any order.
        chosen: None if every rate is infeasible.
        others: the rates near the chosen one that cannot be told from it; None if that is unknown (one seed).
        improving: most of the chosen rate's runs were still improving at the end.
        coarse_ratio: neighbours further apart than this factor are far apart.
    """
    grid = sorted(rates)
    findings: list[str] = []
    more: list[float] = []
    keys: dict[str, str] = {}
    if chosen is None:
        findings.append("Every rate is infeasible: the grid lies too high.")
        more += [_rounded(grid[0] / 10, grid), _rounded(grid[0] / 100, grid)]
    else:
        for lines, new in (
            _at_the_edge(grid, chosen, others or () if len(seeds) > _TOO_FEW_SEEDS else ()),
            _too_coarse(grid, chosen, others, coarse_ratio),
        ):
            findings += lines
            more += new
        if len(seeds) < 2:
            findings.append("One seed gives no interval: with more seeds, rates can be told apart.")
            keys["seeds"] = _with_more(seeds, 3)
        elif others and len(seeds) < _ENOUGH_SEEDS:
            findings.append(
                f"{wording.counted(len(others), 'rate')} cannot be told from the best with "
                f"{len(seeds)} seeds: more seeds narrow the intervals."
            )
            keys["seeds"] = _with_more(seeds, _ENOUGH_SEEDS)
        if improving:
            findings.append(
                f"At {wording.rate(chosen)} most runs were still improving after epoch {epochs}: "
                "train longer before trusting the comparison."
            )
            keys["epochs"] = str(2 * epochs)
    if more:
        wide = sorted({*grid, *more}, reverse=True)
        keys = {"learning_rates": f"[{', '.join(map(wording.rate, wide))}]", **keys}
    pasted = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return Advice(tuple(findings), f"train:\n{pasted}" if pasted else "")


def _at_the_edge(
    grid: Sequence[float], chosen: float, others: Sequence[float]
) -> tuple[list[str], list[float]]:
    if len(grid) == 1:
        finding = "The grid has one rate: there is nothing to compare it with."
        return [finding], [_rounded(chosen * 10, grid), _rounded(chosen / 10, grid)]
    findings, more = [], []
    for edge, neighbour, place, beyond in (
        (grid[0], grid[1], "lowest", "below"),
        (grid[-1], grid[-2], "highest", "above"),
    ):
        if edge != chosen and edge not in others:
            continue
        if edge == chosen:
            findings.append(f"The chosen rate is the {place} of the grid: a better one may lie {beyond} it.")
        else:
            findings.append(
                f"The {place} rate, {wording.rate(edge)}, cannot be told from the best: the range of good "
                f"rates may go on {beyond} it."
            )
        step = min(max(_apart(edge, neighbour), _NARROWEST_STEP), _WIDEST_STEP)
        more.append(_rounded(edge * step if beyond == "above" else edge / step, grid))
    return findings, more


def _too_coarse(
    grid: Sequence[float], chosen: float, others: Sequence[float] | None, coarse_ratio: float
) -> tuple[list[str], list[float]]:
    """A gap matters where the accuracy changes across it: towards a neighbour that is told apart."""
    place = grid.index(chosen)
    gaps = [
        neighbour
        for neighbour in (*grid[max(place - 1, 0) : place], *grid[place + 1 : place + 2])
        if _apart(chosen, neighbour) > coarse_ratio and neighbour not in (others or ())
    ]
    if not gaps:
        return [], []
    steps = wording.listed([wording.rate(neighbour) for neighbour in gaps])
    finding = (
        f"From {wording.rate(chosen)} to {steps} the rate changes by a factor of "
        f"{wording.listed([f'{round(_apart(chosen, gap), 1):g}' for gap in gaps])}: the best may lie between."
    )
    return [finding], [_rounded(math.sqrt(chosen * gap), grid) for gap in gaps]


def _apart(first: float, second: float) -> float:
    return max(first, second) / min(first, second)


def _rounded(rate: float, grid: Sequence[float]) -> float:
    """One significant digit, or two where one would meet a rate of the grid."""
    for digits in (1, 2):
        rounded = float(f"{rate:.{digits - 1}e}")
        if rounded not in grid:
            return rounded
    return rate


def _with_more(seeds: Sequence[int], count: int) -> str:
    added, candidate = list(seeds), 0
    while len(added) < count:
        if candidate not in added:
            added.append(candidate)
        candidate += 1
    return f"[{', '.join(map(str, added))}]"
