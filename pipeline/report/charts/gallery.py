"""All charts of a report, each with its name, its title, and in words what can be seen in it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.analysis.status import DIVERGED
from pipeline.report.charts import style
from pipeline.report.charts.curves import diagnostic_chart, overlay_chart
from pipeline.report.charts.range_test import range_chart
from pipeline.report.charts.recipe import recipe_chart
from pipeline.report.charts.response import response_chart
from pipeline.report.text import wording

if TYPE_CHECKING:
    from pipeline.report.analysis.verdict import RateVerdict, Verdict

_OVERLAYS = (
    ("loss", "training loss"),
    ("val_loss", "{} loss"),
    ("val_accuracy", "{} accuracy"),
)
_DIAGNOSTICS = (
    ("gradient_norm", "gradient norm at the last step of the epoch", True),
    ("update_ratio_hidden", "update / weights, hidden layer", True),
    ("update_ratio_output", "update / weights, output layer", True),
    ("dead_units", "share of hidden units at 0 for every {} image", False),
)


class Chart(NamedTuple):
    """Attributes:

    group: `response`, `recipe`, `overlay`, `diagnostic` or `range_test`: its place on the page.
    description: what can be seen, in words.
    """

    name: str
    group: str
    title: str
    description: str
    figure: Figure


def charts(
    verdict: "Verdict", histories: Mapping[float, Sequence[pd.DataFrame]], criterion: str
) -> Iterator[Chart]:
    """Draw them, one at a time, so that no two figures need be held at once.

    Args:
        histories: of each rate's runs, in the order of the seeds.
        criterion: what rates are compared by, in words.
    """
    yield Chart(
        "response",
        "response",
        f"{criterion[0].upper()}{criterion[1:]} over learning rate",
        _describe_response(verdict),
        response_chart(verdict, f"{criterion}, mean over seeds" if len(verdict.seeds) > 1 else criterion),
    )
    held_out = verdict.setting.chosen_on
    for column, title in _OVERLAYS:
        yield Chart(
            column,
            "overlay",
            title.format(held_out).capitalize(),
            f"Median over seeds at the last epoch: {_describe_ends(histories, column)}.",
            overlay_chart(histories, column, title.format(held_out)),
        )
    for rate in verdict.rates:
        runs = histories[rate.learning_rate]
        yield Chart(
            f"rate-{rate.learning_rate}",
            "recipe",
            f"Learning rate {wording.rate(rate.learning_rate)}",
            _describe_rate(rate, runs, held_out),
            recipe_chart(runs, held_out),
        )
    for column, pattern, log in _DIAGNOSTICS:
        title = pattern.format(held_out)
        if all(column in run for runs in histories.values() for run in runs):
            yield Chart(
                column,
                "diagnostic",
                title[0].upper() + title[1:],
                f"Median over seeds at the last epoch: {_describe_ends(histories, column)}.",
                diagnostic_chart(histories, column, title, log=log),
            )


def range_charts(
    rates: np.ndarray, losses: np.ndarray, suggestions: Mapping[str, float], chosen: float | None
) -> Iterator[Chart]:
    """The range test's chart; its arguments are those of `range_test.range_chart`."""
    marks = wording.listed([f"{rule} at {rate:.2g}" for rule, rate in suggestions.items()]) or "none"
    yield Chart(
        "range_test",
        "range_test",
        "Range test: training loss while the rate rises",
        f"Smoothed loss over the rate, which rises from {rates[0]:.2g} to {rates[-1]:.2g}; the lowest "
        "median over the seeds is "
        f"{np.nanmin(np.nanmedian(losses[:, np.isfinite(losses).any(axis=0)], axis=0)):.3g}. Suggestions: "
        f"{marks}.",
        range_chart(rates, losses, suggestions, chosen),
    )


def variables(rates: int) -> dict[str, style.Colour]:
    """The page's CSS variables: every role's colours, and those of so many rates."""
    return style.COLOURS | {f"rate-{index}": colour for index, colour in enumerate(style.rate_colours(rates))}


def _describe_response(verdict: "Verdict") -> str:
    parts = []
    for rate in verdict.rates:
        text = f"{wording.rate(rate.learning_rate)}: {wording.percent(rate.mean)}"
        if not math.isnan(rate.low):
            text += f", interval {wording.percent(max(rate.low, 0))} to {wording.percent(min(rate.high, 1))}"
        if rate.status == DIVERGED:
            text += f", {rate.diverged} of {len(rate.values)} runs diverged"
        parts.append(f"{text}, {verdict.shown(rate)}")
    return "; ".join(parts) + "."


def _describe_ends(histories: Mapping[float, Sequence[pd.DataFrame]], column: str) -> str:
    show = wording.percent if column.endswith("accuracy") else wording.number
    return "; ".join(
        f"{wording.rate(rate)}: {show(_median_end(runs, column))}" for rate, runs in sorted(histories.items())
    )


def _describe_rate(rate: "RateVerdict", runs: Sequence[pd.DataFrame], held_out: str) -> str:
    values = {
        column: _median_end(runs, column) for column in ("loss", "val_loss", "accuracy", "val_accuracy")
    }
    median = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    if rate.diverged:
        return (
            f"{rate.diverged} of {wording.counted(len(runs), 'run')} diverged; a line ends where its values "
            f"became NaN or infinite. Health: {wording.listed(list(rate.labels))}."
        )
    return (
        f"At the last epoch{median}: training loss "
        f"{wording.number(values['loss'])}, {held_out} loss {wording.number(values['val_loss'])}, training "
        f"accuracy {wording.percent(values['accuracy'])}, {held_out} accuracy "
        f"{wording.percent(values['val_accuracy'])}. Health: {wording.listed(list(rate.labels))}."
    )


def _median_end(runs: Sequence[pd.DataFrame], column: str) -> float:
    ends = np.array([run[column].iloc[-1] for run in runs], dtype=np.float64)
    return float(np.median(ends)) if np.isfinite(ends).all() else math.nan
