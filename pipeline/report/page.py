"""The report's page: one HTML file that needs nothing else, no script, and reads on paper and on a phone.

Text comes from elsewhere (`reasons`, `meanings`, `grid`); here it is put in place. All of it is escaped by
the template, whatever a data set or a tag may be called.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.params import ReportParams
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.speed import Reach, Winner
from pipeline.report.analysis.status import CHOSEN, DIVERGED, NOT_DISTINGUISHABLE, SCATTERED, UNKNOWN, WORSE
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.charts import gallery, svg
from pipeline.report.text import explanations, presentation, reasons, wording
from pipeline.report.text.range_test_words import RampWords
from pipeline.report.text.reasons import Words

_TAGS = {
    CHOSEN: "chosen",
    NOT_DISTINGUISHABLE: "alike",
    SCATTERED: "scattered",
    WORSE: "worse",
    DIVERGED: "infeasible",
    UNKNOWN: "unknown",
}
_OTHER = {"best_epoch": "last_epoch", "last_epoch": "best_epoch"}


class Drawing(NamedTuple):
    """A chart as SVG text, with what `figures.gallery.Chart` says about it."""

    name: str
    group: str
    title: str
    description: str
    svg: str


class Origin(NamedTuple):
    """What the report was made of, as pairs of texts."""

    parameters: Sequence[tuple[str, str]]
    data: Sequence[tuple[str, str]]
    versions: Sequence[tuple[str, str]]


class Content(NamedTuple):
    """All that the page shows.

    Attributes:
        table: a row a run, as `comparison.compare` makes it.
        tested: by the rates that the chosen one was tested against.
        reach: by rate, for each of `params.accuracy_targets`.
    """

    verdict: Verdict
    words: Words
    advice: Advice
    params: ReportParams
    table: pd.DataFrame
    tested: Mapping[float, Discordance]
    reach: Mapping[float, Sequence[Reach]]
    winners: Sequence[Winner]
    drawings: Sequence[Drawing]
    origin: Origin
    range_test: RampWords | None = None


def render(content: Content) -> str:
    """The page."""
    html = _environment().get_template("page.html.j2").render(page=_context(content))
    return html.replace(" %", "\N{NO-BREAK SPACE}%")  # so that no line begins with a per cent sign


def _context(content: Content) -> dict[str, Any]:
    verdict = content.verdict
    held_out = verdict.setting.chosen_on
    criterion = reasons.criterion(verdict)
    colours = gallery.variables(len(verdict.rates))
    roles = {colour.light: name for name, colour in colours.items()}
    charts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for drawing in content.drawings:
        inline = svg.inline(drawing.svg, drawing.name, drawing.title, drawing.description, roles)
        charts[drawing.group].append(
            {
                "name": drawing.name,
                "title": drawing.title,
                "svg": Markup(inline),  # noqa: S704  (its texts are escaped by svg.inline)
                "caption": _caption(drawing, verdict),
            }
        )
    return {
        "verdict": verdict,
        "dataset": verdict.setting.dataset,
        "size": presentation.size(verdict),
        "headline": content.words.headline,
        "detail": content.words.detail,
        "warnings": content.words.warnings,
        "reasons": content.words.reasons,
        "advice": content.advice,
        "key": _key(verdict),
        "criterion": criterion,
        "other_criterion": reasons.criterion(verdict._replace(criterion=_OTHER[verdict.criterion])),
        "held_out": held_out,
        "level": f"{100 * verdict.confidence:g} %",
        "spread": "Lines are medians over the seeds, bands go from the lowest seed to the highest."
        if len(verdict.seeds) > 1
        else "One line a rate.",
        "rates": presentation.ranked(verdict),
        "tags": _TAGS,
        "bounds": presentation.bounds,
        "labels": presentation.labels,
        "tested": [(rate, content.tested[rate]) for rate in sorted(content.tested)],
        "targets": content.params.accuracy_targets,
        "reach": [
            (rate, [presentation.reach_text(one, verdict.setting.epochs) for one in content.reach[rate]])
            for rate in sorted(content.reach)
        ],
        "winners": [_winner(winner, verdict) for winner in content.winners],
        "runs": content.table.astype({"best_epoch": float}).to_dict("records"),
        "meanings": explanations.meanings(content.params, criterion, held_out),
        "parameters": content.origin.parameters,
        "data": content.origin.data,
        "versions": content.origin.versions,
        "range_test": content.range_test,
        "charts": charts,
        "light": Markup(_declare({name: colour.light for name, colour in colours.items()}, "#f3f6f9")),  # noqa: S704
        "dark": Markup(_declare({name: colour.dark for name, colour in colours.items()}, "#1e2530")),  # noqa: S704
        "css": Markup((presentation.TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704
    }


def _caption(drawing: Drawing, verdict: Verdict) -> str:
    """What stands below a chart; its description is there for screen readers in any case."""
    if drawing.group == "recipe":
        return drawing.description
    if drawing.group == "response":
        bars = f"Bars are {100 * verdict.confidence:g} % intervals of the mean. " if verdict.pairs else ""
        return f"{bars}The accuracy axis is stretched towards 100 %."
    return ""


def _key(verdict: Verdict) -> list[tuple[str, str, str]]:
    """The figures beside the verdict: name, value, note."""
    if verdict.learning_rate is None:
        return []
    chosen = verdict.rate(verdict.learning_rate)
    interval = "" if math.isnan(chosen.low) else f"{100 * verdict.confidence:g} %: "
    found = [
        (
            reasons.criterion(verdict),
            wording.percent(chosen.mean),
            f"{interval}{presentation.bounds(chosen.low, chosen.high)}"
            if interval
            else "one seed: no interval",
        )
    ]
    if verdict.setting.chosen_on != "test":
        found.append(("test accuracy", wording.percent(chosen.test_mean), "chose nothing"))
    if not math.isnan(chosen.probability_best):
        found.append(("best in bootstrap", wording.percent(chosen.probability_best, 0), "of drawn studies"))
    if verdict.near is not None:
        names = ", ".join(map(wording.rate, verdict.near)) or "none"
        found.append(("not told from it", names, f"of {wording.counted(len(verdict.rates) - 1, 'other')}"))
    return found


def _winner(winner: Winner, verdict: Verdict) -> dict[str, Any]:
    if winner.rate is None:
        return {
            "budget": winner.budget,
            "rate": "none",
            "mean": math.nan,
            "others": "every rate has diverged",
        }
    names = [wording.rate(rate.learning_rate) for rate in verdict.rates]
    others = (
        "one seed: unknown" if winner.others is None else ", ".join(names[index] for index in winner.others)
    )
    return {
        "budget": winner.budget,
        "rate": names[winner.rate],
        "mean": winner.mean,
        "others": others or "none",
    }


def _declare(colours: Mapping[str, str], wash: str) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in {**colours, "wash": wash}.items())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(presentation.TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        name: getattr(wording, name) for name in ("rate", "percent", "share", "points", "p_value", "number")
    }
    environment.filters.update(filters)
    return environment
