"""What a run's history says about the run: labels, and the numbers behind "less smooth" and "steps".

Every threshold comes from section `report.health` of params.yaml, and docs/report.md defines every label in
words. A run may carry several labels: stuck and oscillating, say.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from pipeline.params import HealthParams
from pipeline.report.analysis.statistics import Floats

DIVERGED = "diverged"
STUCK = "stuck"
OSCILLATING = "oscillating"
SPIKE = "recovered from a spike"
OVERFITTING = "overfitting"
IMPROVING = "still improving"
CONVERGED = "converged"
UNSETTLED = "unsettled"
TOO_SHORT = "too short to judge"
LABELS = (DIVERGED, STUCK, OSCILLATING, SPIKE, OVERFITTING, IMPROVING, UNSETTLED, CONVERGED)
"""Worst first; the order in which labels are listed everywhere."""

_SHORTEST = 5
"""Epochs below which the end of a curve is also its beginning."""
_MOST_POINTS = 1000
"""Points of a trend."""
_TREND_LEVEL = 0.05
"""A trend is believed if noise alone would show one so clear in fewer than this share of cases."""


class Health(NamedTuple):
    """What one run's curves show.

    Attributes:
        labels: of `LABELS`, in that order, or `TOO_SHORT`; never empty.
        roughness: how much the training loss goes up on its way down: the sum of its rises over the sum of
            its falls, in log loss. 0 never rises, 1 rises as much as it falls; NaN for one epoch.
        rising_share: share of the epochs, from the second on, whose training loss is above the one before.
    """

    labels: tuple[str, ...]
    roughness: float
    rising_share: float


def examine(history: pd.DataFrame, thresholds: HealthParams, blind_loss: float) -> Health:
    """Label a run by its `loss` and `val_loss`, in nats; blind guessing costs `blind_loss`."""
    loss, val_loss = (history[name].to_numpy(np.float64) for name in ("loss", "val_loss"))
    finite = np.isfinite(loss)
    measured = loss[np.logical_and.accumulate(finite)]
    roughness, rising_share, typical_rise = _measure(measured, thresholds)
    if not (finite.all() and np.isfinite(val_loss).all()) or _diverged(loss, thresholds, blind_loss):
        return Health((DIVERGED,), roughness, rising_share)
    if len(loss) < _SHORTEST:
        return Health((TOO_SHORT,), roughness, rising_share)
    falls = _fall(val_loss, thresholds) >= thresholds.flat_fall
    steadily = falls and _is_steady(val_loss, thresholds)
    shown = {
        STUCK: _stuck(loss, thresholds, blind_loss),
        OSCILLATING: rising_share >= thresholds.oscillating_share
        and typical_rise >= thresholds.oscillating_rise,
        SPIKE: _recovered(loss, thresholds),
        OVERFITTING: _overfits(loss, val_loss, thresholds),
        IMPROVING: steadily,
    }
    labels = tuple(label for label in LABELS if shown.get(label))
    return Health(labels or (UNSETTLED if falls else CONVERGED,), roughness, rising_share)


def _measure(loss: Floats, thresholds: HealthParams) -> tuple[float, float, float]:
    """Compute roughness, share of rising epochs, and the median size of a rise relative to the loss."""
    if len(loss) < 2:
        return math.nan, math.nan, math.nan
    raised = np.maximum(loss, thresholds.loss_floor)
    steps = np.diff(np.log(raised))
    rises, falls = steps[steps > 0], -steps[steps < 0]
    total = falls.sum()
    roughness = float(rises.sum() / total) if total else (math.inf if len(rises) else 0.0)
    return roughness, float((steps > 0).mean()), float(np.expm1(np.median(rises))) if len(rises) else 0.0


def _end(values: Floats, thresholds: HealthParams) -> Floats:
    """Cut out the values of the last epochs: `window` of them, at least 4."""
    return values[-max(4, math.ceil(thresholds.window * len(values))) :]


def _fall(values: Floats, thresholds: HealthParams) -> float:
    """Measure the share that the loss loses from the first to the last epoch of the end; below 0 it rises.

    The slope is Theil and Sen's on the log loss: an outlier or two do not move it. It looks at all pairs, so
    of a long end at pairs of the medians of equal parts.
    """
    end = np.log(np.maximum(_end(values, thresholds), thresholds.loss_floor))
    if len(end) > _MOST_POINTS:
        end = np.array([np.median(part) for part in np.array_split(end, _MOST_POINTS)])
    slope = stats.theilslopes(end).slope
    return float(-np.expm1(slope * (len(end) - 1)))


def _diverged(loss: Floats, thresholds: HealthParams, blind_loss: float) -> bool:
    """Decide whether it ends far above where it began, and above what blind guessing costs."""
    level = np.median(_end(loss, thresholds))
    return bool(level > thresholds.diverged_growth * loss[0] and level > blind_loss)


def _stuck(loss: Floats, thresholds: HealthParams, blind_loss: float) -> bool:
    high = np.median(_end(loss, thresholds)) > thresholds.stuck_loss * blind_loss
    return bool(high) and _fall(loss, thresholds) < thresholds.flat_fall


def _recovered(loss: Floats, thresholds: HealthParams) -> bool:
    """Decide whether it was far above the lowest loss so far at some epoch, and later as low again."""
    raised = np.maximum(loss, thresholds.loss_floor)
    lowest = np.minimum.accumulate(raised)
    spikes = np.flatnonzero(raised[1:] > thresholds.spike_factor * lowest[:-1]) + 1
    later = np.minimum.accumulate(raised[::-1])[::-1]
    return bool((later[spikes] <= lowest[spikes - 1]).any())


def _overfits(loss: Floats, val_loss: Floats, thresholds: HealthParams) -> bool:
    """Decide whether the validation loss ends above its lowest while the training loss went on falling.

    Both are taken as running medians of 3, so that one lucky epoch is not the lowest.
    """
    smooth, smooth_val = (ndimage.median_filter(curve, 3, mode="nearest") for curve in (loss, val_loss))
    lowest = int(smooth_val.argmin())
    least = max(smooth_val[lowest], thresholds.loss_floor)
    rose = np.median(_end(val_loss, thresholds)) > (1 + thresholds.overfitting_rise) * least
    return bool(rose and np.median(_end(loss, thresholds)) < smooth[lowest])


def _is_steady(loss: Floats, thresholds: HealthParams) -> bool:
    """Decide whether the loss falls over the end too steadily for chance (Kendall's rank test)."""
    end = _end(loss, thresholds)
    trend = stats.kendalltau(np.arange(len(end)), end, alternative="less")
    return bool(trend.pvalue < _TREND_LEVEL)
