"""Tables as CSV: the same numbers give the same bytes, whichever instructions numpy computed them with."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core import files
from pipeline.core.errors import damaged

_DIGITS = "%.12g"
"""Of the 16 of a float64, numpy's logarithms and powers have other last ones with AVX-512 than without."""


def write(path: Path, table: pd.DataFrame) -> None:
    """Write without the index; what is missing is left empty."""
    with files.replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="", lineterminator="\n", float_format=_DIGITS)


def rounded(values: Iterable[float]) -> NDArray[np.float64]:
    """Round to the digits that `write` leaves."""
    return np.array([_DIGITS % value for value in values], np.float64)


def read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table that has at least one row and these columns.

    Raises:
        DataError: not there, not such a table, or a column missing.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise damaged(path, f"expected a table, got: {error}") from error
    missing = [column for column in columns if column not in table]
    if missing or table.empty:
        lacking = ", ".join(missing) or "every row"
        raise damaged(path, f"expected rows with {', '.join(columns)}; missing: {lacking}")
    return table
