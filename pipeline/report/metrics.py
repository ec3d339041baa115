"""verdict.json: the verdict's numbers, for `dvc metrics` and for comparing two commits."""

import math
from typing import Any

from pipeline.report.analysis.analyse import Analysis
from pipeline.report.analysis.mcnemar import Discordance
from pipeline.report.analysis.status import EQUIVALENT, NOT_DISTINGUISHABLE, WORSE
from pipeline.report.analysis.verdict import RateVerdict, Verdict
from pipeline.report.text import wording
from pipeline.report.text.statement import Statement


def render(analysis: Analysis, statement: Statement) -> dict[str, Any]:
    """Make verdict.json's content: numbers by rate for `dvc metrics`, sentences in lists, which it skips.

    Rounded to 6 decimals, far below any difference that matters, so that a diff shows changes and not noise.
    """
    verdict = analysis.verdict
    content = {
        "dataset": verdict.setting.task.dataset,
        **wording.facts(verdict.setting),
        "chosen_on": verdict.setting.chosen_on,
        "criterion": verdict.criterion,
        "epochs": verdict.setting.params.train.epochs,
        "seeds": len(verdict.seeds),
        "learning_rate": verdict.learning_rate,
        "settled": verdict.settled,
        "equivalent": _having(verdict, EQUIVALENT),
        "indistinguishable": _having(verdict, NOT_DISTINGUISHABLE),
        "headline": statement.headline,
        "detail": [statement.detail],
        "warnings": statement.warnings,
        "reasons": statement.reasons,
        "advice": [*statement.advice, *statement.lines.splitlines()],
        "rates": {
            f"lr-{rate.learning_rate}": _rate(rate, analysis.tested.get(rate.learning_rate))
            for rate in verdict.rates
        },
    }
    if analysis.range_test is not None:
        content["range_test"] = {
            rule.replace(" / ", "_"): {
                "suggests": float(f"{suggestion.median:.3g}"),
                "agrees": agreement.agrees,
            }
            for rule, (suggestion, agreement) in analysis.range_test.items()
        }
    return content


def _rate(rate: RateVerdict, tested: Discordance | None) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "status": rate.status,
        "diverged": rate.diverged,
        "validation_accuracy": {name: _rounded(getattr(rate, name)) for name in ("mean", "low", "high")},
        "dependable": None if math.isnan(rate.low) else _rounded(rate.dependable),
        "test_accuracy": _rounded(rate.test_mean),
        "p_best": _rounded(rate.p_best),
        "beaten_by_at_least": _rounded(rate.rival_at_least) if rate.status == WORSE else None,
        "below_best_at_most": _rounded(rate.at_most),
        "seeds_needed": rate.seeds_needed or None,
        "roughness": _rounded(rate.roughness),
        "rising_share": _rounded(rate.rising_share),
        "health": {label.replace(" ", "_"): count for label, count in rate.labels.items()},
    }
    if tested:
        numbers["test_disagreement"] = {
            "only_chosen_right": tested.only_first,
            "only_this_right": tested.only_second,
            "p_value": _rounded(tested.p_value),
        }
    return numbers


def _having(verdict: Verdict, status: str) -> list[float] | None:
    """List the rates with this status; None where none can be known."""
    return [rate.learning_rate for rate in verdict.having(status)] if verdict.comparable else None


def _rounded(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
