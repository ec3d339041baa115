"""The environment of the report's templates."""

import inspect
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report.text import wording

FOLDER = Path(__file__).parents[1] / "templates"


def environment(**options: Any) -> Environment:
    """Set up the templates, with the functions of `wording` as filters; `options` say what is escaped."""
    templates = Environment(  # noqa: S701  (Markdown and plain sentences are no HTML; the page asks for it)
        loader=FileSystemLoader(FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        **options,
    )
    templates.filters |= dict(inspect.getmembers(wording, inspect.isfunction))
    templates.tests["finite"] = math.isfinite
    return templates
