"""Tables as CSV: floats in full precision, the same table gives the same bytes."""

from pathlib import Path

import pandas as pd

from pipeline.core import files
from pipeline.core.errors import damaged


def write(path: Path, table: pd.DataFrame) -> None:
    """Write without the index; what is missing is left empty."""
    with files.replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="", lineterminator="\n")


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
