"""How mutmut's results become the table of docs/testing.md."""

import io

import pytest

from tools import mutation_score

RESULTS = """
    pipeline.report.analysis.grid.x_advise__mutmut_1: killed
    pipeline.report.analysis.grid.x_advise__mutmut_2: timeout
    pipeline.report.analysis.grid.x__apart__mutmut_1: survived
    pipeline.report.analysis.verdict.xǁVerdictǁrate__mutmut_1: killed
    pipeline.verify.locks.x_parse__mutmut_1: no tests
"""


def test_a_time_limit_counts_as_caught_and_a_mutant_that_no_test_reaches_as_missed() -> None:
    assert mutation_score.table(mutation_score.count(RESULTS.splitlines())).splitlines()[2:] == [
        "| `pipeline.report.analysis.grid` | 3 | 1 | 66.6 % |",
        "| `pipeline.report.analysis.verdict` | 1 | 0 | 100.0 % |",
        "| `pipeline.verify.locks` | 1 | 1 | 0.0 % |",
        "| all | 5 | 2 | 60.0 % |",
    ]


@pytest.mark.parametrize(
    "line", ["pipeline.report.analysis.grid.x_advise__mutmut_1: not checked", "Traceback:"]
)
def test_a_run_that_was_cut_off_has_no_score(line: str) -> None:
    with pytest.raises(ValueError, match="expected a mutant, caught or missed, got "):
        mutation_score.count([line])


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (RESULTS, "expected 85 % of the mutants to be caught, got 60.0 %"),
        ("", "expected mutmut's results, got none. Run `make mutants`."),
        ("a.x_f__mutmut_1: survived\n" * 3 + "a.x_f__mutmut_2: killed\n" * 17, None),
    ],
)
def test_less_than_what_is_promised_is_an_error(
    results: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(results))

    assert mutation_score.main() == said
