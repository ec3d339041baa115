"""Figures as SVG: for a file, and for inside the page, where they take the page's colours and font."""

import html
import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "learning-rate-study",  # ids that do not change from run to run
    "svg.fonttype": "none",  # text stays text: small, searchable, in the reader's font
    "path.simplify_threshold": 0.4,
}


def to_text(figure: Figure) -> str:
    """Write a figure as an SVG document; the same figure gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = re.sub(r"\s*<!--.*?-->", "", buffer.getvalue(), flags=re.DOTALL)
    # Hundredths of a pixel are enough, and a third of the size; only inside tags, labels are numbers too.
    return re.sub(r"<[^>]+>", lambda tag: re.sub(r"\d+\.\d{3,}", _shorten, tag[0]), text)


def _shorten(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def inline(text: str, name: str, title: str, description: str, variables: Mapping[str, str]) -> str:
    """Make of `to_text`'s document an element for an HTML page.

    Args:
        name: prefix that keeps its ids apart from those of the page's other charts.
        title, description: the alternative text; any text, it is escaped here.
        variables: CSS variable for each colour (#rrggbb) that it should follow.
    """
    drawing = text[text.index("<svg") :]
    opening, drawing = drawing.split(">", 1)
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    drawing = re.sub(r'\b(id|xlink:href)="(#?)', rf'\1="\2{name}-', drawing)
    drawing = drawing.replace("url(#", f"url(#{name}-").replace("xlink:href=", "href=")
    for colour, variable in variables.items():
        drawing = drawing.replace(colour, f"var(--{variable})")
    drawing = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", drawing)
    drawing = re.sub(r" ?font-family: [^;\"]*;?", "", drawing)
    return (
        f'<svg {box} role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>{drawing.rstrip()}'
    )
