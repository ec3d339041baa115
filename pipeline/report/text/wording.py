"""Numbers and lists as a reader meets them; the page, the summary and the reasons all say them alike."""

import math
from collections.abc import Sequence

import numpy as np


def rate(value: float) -> str:
    """A learning rate as decimals, the way params.yaml wants it: 0.00003, 1.0."""
    return np.format_float_positional(value, trim="0")


def percent(share: float, digits: int = 2) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def share(value: float) -> str:
    """A configured share as it was written: 3 %, 0.4 %."""
    return f"{100 * value:g} %"


def points(difference: float, digits: int = 2) -> str:
    """A difference of two shares in percentage points, with its sign; 0.00 has none."""
    if math.isnan(difference):
        return "–"
    text = f"{100 * difference:+.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text[1:] if not text.strip("+\N{MINUS SIGN}0.") else text


def p_value(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float, digits: int = 3) -> str:
    """Significant digits, no exponent where it can be avoided."""
    if math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}g}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
