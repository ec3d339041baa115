"""The verdict in Markdown, for a pull request or a CI job's summary."""

import re

from markupsafe import Markup

from pipeline.report.analysis.analyse import Analysis
from pipeline.report.text import templates
from pipeline.report.text.statement import Statement

_MOST_RATES = 12
"""In the table: of more, the first ones are those that may be the best."""
_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def render(analysis: Analysis, statement: Statement) -> str:
    """Render `report/summary.md`: the verdict alone, the same at every revision of git."""
    # No HTML is made here, so autoescape would be the wrong escape; `finalize` escapes every value.
    environment = templates.environment(
        autoescape=False, finalize=lambda value: escape(value) if type(value) is str else value
    )
    return environment.get_template("summary.md.j2").render(
        verdict=analysis.verdict,
        statement=statement,
        most=_MOST_RATES,
        lines=Markup(statement.lines),  # noqa: S704  (inside a code block nothing is escaped)
    )


def escape(text: str) -> str:
    """Make any text show as itself in Markdown."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return _SPECIAL.sub(r"\\\1", text)
