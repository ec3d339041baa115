"""The page and the summary of an analysis: hostile text, and the glossary with the thresholds in force."""

import html
import re

import pytest

from pipeline.report import page
from pipeline.report.analysis.analyse import Analysis, analyse
from pipeline.report.analysis.setting import Setting
from pipeline.report.text import summary
from pipeline.report.text.statement import compose
from tests.report.samples import FINE, LABELS, SETTING, setting_with, trained

ORIGIN: dict[str, list[tuple[str, str]]] = {"parameters": [], "data": [], "versions": []}
HOSTILE = '<script>alert("x")</script>|`*_'


@pytest.fixture
def analysis() -> Analysis:
    runs = [trained(rate, seed, dict(FINE)) for rate in (0.001, 0.01) for seed in (0, 1)]
    return analyse(runs, SETTING, LABELS)


def with_setting(analysis: Analysis, setting: Setting) -> Analysis:
    return analysis._replace(verdict=analysis.verdict._replace(setting=setting))


def glossary(analysis: Analysis) -> dict[str, str]:
    document = page.render(analysis, compose(analysis), [], ORIGIN)
    document = document.replace("\N{NO-BREAK SPACE}", " ")
    section = document.partition('<dl class="glossary">')[2].partition("</dl>")[0]
    terms = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section, re.DOTALL)
    return {term: html.unescape(text) for term, text in terms}


def test_hostile_text_is_shown_as_text(analysis: Analysis) -> None:
    task = SETTING.task._replace(dataset=HOSTILE, classes=(HOSTILE,) * 10)
    analysis = with_setting(analysis, SETTING._replace(task=task))
    document = page.render(analysis, compose(analysis), [], ORIGIN)
    assert "<script" not in document
    assert HOSTILE in html.unescape(document)
    markdown = summary.render(analysis, compose(analysis))
    assert "<script" not in markdown
    assert "\\|\\`\\*\\_" in markdown


def test_the_glossary_explains_every_label_and_status(analysis: Analysis) -> None:
    from pipeline.report.analysis import health, status

    terms = {term.lower() for term in glossary(analysis)}
    assert {label.lower() for label in health.LABELS} <= terms
    assert {status.EQUIVALENT, status.NOT_DISTINGUISHABLE, status.WORSE, status.DIVERGED} <= terms


def test_a_threshold_below_a_per_cent_is_not_said_to_be_none(analysis: Analysis) -> None:
    health = SETTING.params.report.health.model_copy(update={"flat_fall": 0.004})
    terms = glossary(with_setting(analysis, setting_with("report", health=health)))
    assert "no longer falls (less than 0.4 %), on a plateau above 2 %" in terms["Stuck"]
    assert "falls by 0.4 % or more" in terms["Still improving"]


def test_an_interval_is_explained_as_one_of_a_rate_fixed_beforehand(analysis: Analysis) -> None:
    assert (
        "choosing the highest of several means flatters the chosen one" in glossary(analysis)["95 % interval"]
    )


@pytest.mark.parametrize(
    ("keep", "term", "said"),
    [
        ("best_epoch", "Best validation accuracy", "highest validation accuracy over all its epochs"),
        ("last_epoch", "Final validation accuracy", "validation accuracy after its last epoch"),
    ],
)
def test_the_criterion_in_force_is_explained(analysis: Analysis, keep: str, term: str, said: str) -> None:
    assert said in glossary(with_setting(analysis, setting_with("train", keep=keep)))[term]
