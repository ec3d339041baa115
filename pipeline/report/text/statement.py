"""The report's sentences, which page, summary and verdict.json share."""

import re
from typing import NamedTuple

from pipeline.report.analysis import status
from pipeline.report.analysis.analyse import Analysis
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.statistics import COUNTED_ON, LOOKS
from pipeline.report.text import templates, wording


class Statement(NamedTuple):
    """What the report says in sentences.

    Attributes:
        headline, detail: the verdict in a sentence or two.
        warnings: what a reader must know before using it.
        advice: what the study leaves open; empty if nothing.
        lines: what to paste over those of params.yaml, as YAML; DVC then trains only what is new.
        range_test: a sentence for each rule.
    """

    headline: str
    detail: str
    warnings: list[str]
    reasons: list[str]
    advice: list[str]
    lines: str
    range_test: list[str]


def compose(analysis: Analysis) -> Statement:
    """Put the analysis into sentences; templates/sentences.txt.j2 has them all."""
    verdict = analysis.verdict
    environment = templates.environment()
    environment.filters["of"] = lambda rate, verdict: verdict.rate(rate)
    macros = environment.get_template("sentences.txt.j2").make_module(
        {
            "analysis": analysis,
            "verdict": verdict,
            "chosen": verdict.chosen,
            "status": status,
            "counted_on": COUNTED_ON,
            "looks": LOOKS,
            "params": verdict.setting.params.report,
        }
    )

    def sentences(name: str) -> list[str]:
        """Split the list that a macro makes, and its line breaks into spaces."""
        items = re.split(r"^- ", getattr(macros, name)(), flags=re.MULTILINE)
        return [" ".join(item.split()) for item in items[1:]]

    (headline,), (detail,) = sentences("headline"), sentences("detail")
    lists = {name: sentences(name) for name in ("warnings", "reasons", "advice", "range_test")}
    return Statement(headline, detail, lines=_lines(analysis.advice), **lists)


def _lines(advice: Advice) -> str:
    values = {
        "learning_rates": advice.rates and f"[{', '.join(map(wording.rate, advice.rates))}]",
        "seeds": advice.seeds and f"[{', '.join(map(str, advice.seeds))}]",
        "epochs": advice.epochs,
    }
    lines = "".join(f"  {key}: {value}\n" for key, value in values.items() if value)
    return f"train:\n{lines}" if lines else ""
