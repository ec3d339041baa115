"""Mutation score by module, from what mutmut found.

    mutmut results --all true | python -m tools.mutation_score

A mutant counts as caught if a test failed, ran into its time limit or lost its process; as missed if all
tests passed, or if there is none that reaches it. Ends with an error below the score that is promised.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping

LEAST = 85
"""Percent of all mutants; docs/testing.md has what was found."""
_CAUGHT = ("killed", "timeout", "segfault")
_MISSED = ("survived", "no tests")


def count(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """Statuses by module, from lines such as `pipeline.report.analysis.grid.x_advise__mutmut_7: survived`.

    Raises:
        ValueError: a mutant that was not tested to its end, or a line that is none of mutmut's.
    """
    found: dict[str, Counter[str]] = {}
    for line in filter(None, map(str.strip, lines)):
        mutant, _, status = line.rpartition(": ")
        if not mutant or status not in (*_CAUGHT, *_MISSED):
            raise ValueError(f"expected a mutant, caught or missed, got {line!r}. Run `make mutants` again.")
        found.setdefault(mutant.rpartition(".")[0].partition(".xǁ")[0], Counter())[status] += 1
    return found


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Markdown, a row a module and one for all; scores are rounded down."""
    total = sum(counts.values(), Counter[str]())
    rows = [f"| `{module}` | {_row(counts[module])} |" for module in sorted(counts)]
    return "\n".join(
        ["| module | mutants | missed | caught |", "|:--|--:|--:|--:|", *rows, f"| all | {_row(total)} |"]
    )


def score(statuses: Counter[str]) -> float:
    """Percent caught."""
    return 100 * sum(statuses[status] for status in _CAUGHT) / statuses.total()


def _row(statuses: Counter[str]) -> str:
    missed = sum(statuses[status] for status in _MISSED)
    return f"{statuses.total():,} | {missed} | {int(10 * score(statuses)) / 10} %"


def main() -> str | None:
    counts = count(sys.stdin)
    if not counts:
        return "expected mutmut's results, got none. Run `make mutants`."
    print(table(counts))
    found = score(sum(counts.values(), Counter[str]()))
    return None if found >= LEAST else f"expected {LEAST} % of the mutants to be caught, got {found:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
