"""Stage `check`: params.yaml and the network's file read before a value becomes part of a path.

DVC removes a stage's outputs before it starts the stage, and names those of `train` by rate and seed: a seed
`../..` would have it remove whatever lies there. So everything waits for this stage, which refuses the file.
"""

from pathlib import Path

from pipeline import params
from pipeline.core import files, network_files


def check(checked: Path) -> None:
    """Write a note that is the same for every params.yaml that can be worked with: it trains nothing anew.

    Raises:
        ParamsError: params.yaml cannot be worked with, or names no file with a network.
    """
    study = params.load()
    network_files.read(study.network.file)
    files.write_text(checked, "params.yaml: every value is of its kind and in its range.\n")
    rates, seeds = study.train.learning_rates, study.train.seeds
    print(f"check: params.yaml asks for {len(rates)} rate(s), {len(seeds)} seed(s) each")
