"""The verdict in Markdown, for a pull request or a CI job's summary; what changed since another. Pure."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.status import is_far
from pipeline.report.analysis.verdict import Verdict
from pipeline.report.text import presentation, reasons, wording
from pipeline.report.text.reasons import Words

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def render(verdict: Verdict, words: Words, advice: Advice) -> str:
    """The verdict alone, as `report/summary.md`; the same at every revision of git."""
    rows = [
        (
            wording.rate(rate.learning_rate),
            verdict.shown(rate),
            wording.percent(rate.mean),
            presentation.bounds(rate.low, rate.high),
            wording.percent(rate.test_mean),
            presentation.labels(rate),
        )
        for rate in presentation.ranked(verdict)
    ]
    return (
        _environment()
        .get_template("summary.md.j2")
        .render(
            headline=words.headline,
            detail=words.detail,
            warnings=words.warnings,
            reasons=words.reasons,
            findings=advice.findings,
            lines=Markup(advice.lines),  # noqa: S704  (inside a code block nothing is escaped)
            criterion=reasons.criterion(verdict),
            rows=rows,
            size=presentation.size(verdict),
            dataset=verdict.setting.dataset,
        )
    )


def compare(before: Mapping[str, Any], after: Mapping[str, Any], revision: str) -> str:
    """What changed from one verdict.json to another, as Markdown.

    Args:
        revision: what to call `before`.
    """
    changes = "\n".join(f"- {change}" for change in list_changes(before, after))
    nothing = "Nothing: the same verdict, the same numbers."
    return f"### Changed against {escape(revision)}\n\n{changes or nothing}\n"


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A sentence for each change, escaped for Markdown; none where the two say the same."""
    found = []
    for key, noun in (("dataset", "Data set"), ("chosen_on", "Chosen on"), ("criterion", "Criterion")):
        if before.get(key) != after.get(key):
            found.append(f"{noun}: {before.get(key)} before, {after.get(key)} now.")
    for key in ("seeds", "epochs"):
        if before.get(key) != after.get(key):
            found.append(f"{key.capitalize()}: {before.get(key)} before, {after.get(key)} now.")
    old, new = before.get("learning_rate"), after.get("learning_rate")
    found.insert(
        0,
        f"The choice changed: {_rate(old)} before, {_rate(new)} now."
        if old != new
        else f"The choice is still {_rate(new)}.",
    )
    alike = [_rates(_near(one)) for one in (before, after)]
    if alike[0] != alike[1]:
        found.append(f"Not told from it: {alike[0]} before, {alike[1]} now.")
    found += _list_rates(before.get("rates") or {}, after.get("rates") or {})
    return [escape(sentence) for sentence in found] if len(found) > 1 or old != new else []


def _near(content: Mapping[str, Any]) -> list[float] | None:
    """`indistinguishable` without the rates that a reader is told are too scattered; see `Verdict.near`."""
    listed, rates = content.get("indistinguishable"), content.get("rates") or {}
    best = _mean(rates, content.get("learning_rate"))
    if listed is None or best is None:
        return listed
    return [rate for rate in listed if (own := _mean(rates, rate)) is None or not is_far(best - own)]


def _mean(rates: Mapping[str, Any], learning_rate: float | None) -> float | None:
    return _value(rates.get(f"lr-{learning_rate}", {}).get("validation_accuracy"))


def _list_rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = [f"{name.removeprefix('lr-')} is new." for name in after if name not in before]
    found += [f"{name.removeprefix('lr-')} is gone." for name in before if name not in after]
    for name in (name for name in after if name in before):
        old, new = before[name], after[name]
        parts = []
        if old.get("status") != new.get("status"):
            parts.append(f"{old.get('status')} before, {new.get('status')} now")
        for key, noun in (("validation_accuracy", "validation accuracy"), ("test_accuracy", "test accuracy")):
            values = [_value(one.get(key)) for one in (old, new)]
            if values[0] != values[1]:
                shown = [wording.percent(value) if value is not None else "none" for value in values]
                difference = (
                    f" ({wording.points(values[1] - values[0], 3)} points)"
                    if values[0] is not None and values[1] is not None
                    else ""
                )
                parts.append(f"{noun} {shown[0]} before, {shown[1]} now{difference}")
        if parts:
            found.append(f"{name.removeprefix('lr-')}: {'; '.join(parts)}.")
    return found


def escape(text: str) -> str:
    """Make any text show as itself in Markdown."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return _SPECIAL.sub(r"\\\1", text)


def _value(entry: Any) -> float | None:
    found = entry.get("mean") if isinstance(entry, Mapping) else entry
    return None if found is None else float(found)


def _rate(value: float | None) -> str:
    return "none" if value is None else wording.rate(value)


def _rates(values: Sequence[float] | None) -> str:
    if values is None:
        return "unknown"
    return wording.listed([wording.rate(value) for value in values]) or "none"


@cache
def _environment() -> Environment:
    # No HTML is made here, so autoescape would be the wrong escape; `finalize` escapes every value.
    return Environment(
        loader=FileSystemLoader(presentation.TEMPLATES),
        autoescape=False,  # noqa: S701
        finalize=lambda value: escape(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
