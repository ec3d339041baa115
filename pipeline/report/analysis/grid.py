"""Is the grid of rates wide and fine enough, and what should params.yaml list instead?"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.report.analysis.statistics import LOOKS
from pipeline.report.analysis.verdict import Verdict

_TOO_FEW_SEEDS = 2
"""With so few, even rates far apart are not distinguishable: a rate at the edge would mean nothing."""
_WIDEST_STEP, _NARROWEST_STEP = 10.0, 2.0
_LOWEST, _HIGHEST = 1e-9, 1e3
"""Proposed is nothing beyond: where only such rates are left to try, the rate is not what matters."""


class Advice(NamedTuple):
    """What the study leaves open, and what params.yaml should list therefore.

    Attributes:
        edges: ends of a grid of several rates at which the chosen rate lies, or one near it.
        gaps: neighbours of the chosen rate that lie too far from it.
        rates: falling; None, as for `seeds` and `epochs`, if what is configured will do.
    """

    edges: tuple[float, ...]
    gaps: tuple[float, ...]
    rates: tuple[float, ...] | None
    seeds: tuple[int, ...] | None
    epochs: int | None


def advise(verdict: Verdict, coarse_ratio: float) -> Advice:
    """Find what the study leaves open; neighbours further apart than `coarse_ratio` leave a gap."""
    grid = list(verdict.grid)
    chosen, seeds, top = verdict.learning_rate, verdict.seeds, verdict.in_question
    if chosen is None:
        return Advice((), (), _with_more(grid, [grid[0] / 10, grid[0] / 100]), None, None)
    near = top if len(seeds) > _TOO_FEW_SEEDS else (chosen,)
    edges = tuple(edge for edge in (grid[0], grid[-1]) if edge in near) if len(grid) > 1 else ()
    more, gaps = [_beyond(grid, edge) for edge in edges] if len(grid) > 1 else [chosen * 10, chosen / 10], []
    index = grid.index(chosen)
    for neighbour in (*grid[max(index - 1, 0) : index], *grid[index + 1 : index + 2]):
        # A gap matters where the accuracy changes across it: towards a neighbour that is out of the question.
        if factor(chosen, neighbour) > coarse_ratio and neighbour not in top:
            gaps.append(neighbour)
            more.append(math.sqrt(chosen * neighbour))
    later = [look for look in LOOKS if look > len(seeds)]
    wanted = later[0] if later and not verdict.settled else 0
    unused = [seed for seed in range(wanted) if seed not in seeds]
    return Advice(
        edges,
        tuple(gaps),
        _with_more(grid, more),
        (*seeds, *unused[: wanted - len(seeds)]) if len(seeds) < wanted else None,
        2 * verdict.setting.params.train.epochs if verdict.improving else None,
    )


def factor(first: float, second: float) -> float:
    """Divide the larger rate by the smaller."""
    return max(first, second) / min(first, second)


def _beyond(grid: Sequence[float], edge: float) -> float:
    """Go one of the grid's steps further out, within limits."""
    neighbour = grid[1] if edge == grid[0] else grid[-2]
    step = min(max(factor(edge, neighbour), _NARROWEST_STEP), _WIDEST_STEP)
    return edge / step if edge < neighbour else edge * step


def _with_more(grid: Sequence[float], more: Sequence[float]) -> tuple[float, ...] | None:
    """Add rates of one significant digit, or of two where one would meet a rate of the grid; None if none."""
    added = []
    for rate in more:
        rounded = (float(f"{rate:.{digits}e}") for digits in (0, 1))
        added.append(next((value for value in rounded if value not in grid), rate))
    added = [rate for rate in added if _LOWEST <= rate <= _HIGHEST]
    return tuple(sorted({*grid, *added}, reverse=True)) if added else None
