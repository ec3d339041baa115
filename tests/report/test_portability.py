"""The report has the same bytes whichever instructions numpy and its linear algebra find."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.conftest import ROOT, run_pipeline
from tests.report.conftest import history, realistic, write_range_test, write_study

FEWER = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR", "OPENBLAS_CORETYPE": "Haswell"}
"""What numpy 2.4 and OpenBLAS take for a processor without AVX-512."""
APART = (0.5604302529632721, 0.37267764695955224)
"""Their logarithms have another last digit there."""


def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
    if seed == 2:
        return realistic(rate, seed, epochs)
    losses = [1.0, 0.25, APART[seed], *[0.125] * (epochs - 3)]
    return history(losses, losses)


def test_what_numpy_computes_shows_nowhere(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", curve=curve)
    write_range_test(study / "range_test", {"steepest": 0.01, "valley": 0.003})
    made = {}
    for name, variables in (("here", {}), ("elsewhere", FEWER)):
        arguments = ("report", "data/scaled", "runs", name, "--range-test", "range_test")
        done = run_pipeline(study, *arguments, PYTHONPATH=str(ROOT), **variables)
        assert done.returncode == 0, done.stderr
        files = sorted(path for path in (study / name).rglob("*") if path.is_file())
        made[name] = {path.relative_to(study / name): path.read_bytes() for path in files}

    assert len(made["here"]) > 10
    assert {path for path in made["here"] if made["here"][path] != made["elsewhere"].get(path)} == set()


def test_the_range_tests_rates_are_the_same() -> None:
    code = (
        "import numpy as np; from pipeline.core import tables; rates = np.geomspace(1e-5, 1, 150); "
        "print(tables.rounded(rates).tolist())"
    )
    made = {
        subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=os.environ | variables)
        for variables in ({}, FEWER)
    }
    assert len(made) == 1
