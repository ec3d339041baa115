"""Stage `check`: params.yaml read before a value of it becomes part of a path.

DVC removes a stage's outputs before it starts the stage, and names those of `train` by rate and seed: a seed
`../..` would have it remove whatever lies there. So everything waits for this stage, which refuses the file.
"""

from pathlib import Path

from pipeline import params
from pipeline.core import files


def check(checked: Path) -> None:
    """Write a note that is the same for every params.yaml that can be worked with: it trains nothing anew.

    Raises:
        ParamsError: params.yaml cannot be worked with.
    """
    train = params.load().train
    files.write_text(checked, "params.yaml: every value is of its kind and in its range.\n")
    print(f"check: params.yaml asks for {len(train.learning_rates)} rate(s), {len(train.seeds)} seed(s) each")
