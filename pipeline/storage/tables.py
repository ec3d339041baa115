"""Tables as CSV: floats in full precision, the same table gives the same bytes."""

from pathlib import Path

import pandas as pd

from pipeline.storage import files


def write(path: Path, table: pd.DataFrame) -> None:
    with files.replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="", lineterminator="\n")
