"""What comes next in a study, and why: each reason once."""

import math

import pytest

from pipeline.refine.steps import Step, hopeless, next_step
from pipeline.report.analysis import grid
from pipeline.report.analysis.grid import Advice
from pipeline.report.analysis.status import DIVERGED
from pipeline.report.analysis.verdict import Verdict
from tests.report.samples import decide, verdict_on

HALF_DECADES = [0.1, 0.03, 0.01, 0.003, 0.001]
NOTHING = Advice((), (), None, None, None)
RATES, SEEDS, EPOCHS = tuple(HALF_DECADES), (0, 1, 2), 20


def step(verdict: Verdict) -> Step | None:
    return next_step(verdict, grid.advise(verdict, coarse_ratio=3.5))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        pytest.param(
            verdict_on([0.1, 0.01, 0.001], 0.01, seeds=SEEDS),
            Step(NOTHING._replace(gaps=(0.001, 0.1), rates=RATES), RATES, SEEDS, EPOCHS, ()),
            id="the grid is coarse",
        ),
        pytest.param(
            verdict_on([0.1, 0.01, 0.001], 0.01, seeds=(7,), improving=True),
            Step(NOTHING._replace(gaps=(0.001, 0.1), rates=RATES), RATES, (7,), EPOCHS, ()),
            id="the grid is coarse; seeds and epochs wait",
        ),
        pytest.param(
            verdict_on([0.1, 0.03, 0.01], 0.1, seeds=SEEDS),
            Step(
                NOTHING._replace(edges=(0.1,), rates=(0.3, 0.1, 0.03, 0.01)),
                (0.3, 0.1, 0.03, 0.01),
                SEEDS,
                EPOCHS,
                (),
            ),
            id="the best lies at the edge",
        ),
        pytest.param(
            verdict_on([0.01], 0.01, seeds=(5,)),
            Step(NOTHING._replace(rates=(0.1, 0.01, 0.001)), (0.1, 0.01, 0.001), (5,), EPOCHS, ()),
            id="there is one rate; seeds wait",
        ),
        pytest.param(
            verdict_on([1.0, 0.3], None, seeds=SEEDS),
            Step(NOTHING._replace(rates=(1.0, 0.3, 0.03, 0.003)), (1.0, 0.3, 0.03, 0.003), SEEDS, EPOCHS, ()),
            id="every rate diverged",
        ),
        pytest.param(
            verdict_on(HALF_DECADES, 0.01, (0.03,), SEEDS, improving=True),
            Step(NOTHING._replace(epochs=40), RATES[:4], SEEDS, 40, (0.001,)),
            id="the best still improves; seeds wait",
        ),
        pytest.param(
            verdict_on(HALF_DECADES, 0.01, (0.03,), SEEDS),
            Step(NOTHING._replace(seeds=(*SEEDS, 3, 4)), RATES[:4], (*SEEDS, 3, 4), EPOCHS, (0.001,)),
            id="two cannot be told apart",
        ),
        pytest.param(
            verdict_on(HALF_DECADES, 0.01, seeds=(7,)),
            Step(NOTHING._replace(seeds=(7, 0, 1)), RATES, (7, 0, 1), EPOCHS, ()),
            id="one seed tells nothing, and drops nothing",
        ),
        pytest.param(verdict_on(HALF_DECADES, 0.01, seeds=SEEDS), None, id="the verdict is settled"),
        pytest.param(verdict_on(HALF_DECADES, 0.01, (0.03,), tuple(range(20))), None, id="no look is left"),
    ],
)
def test_the_next_step_follows_from_what_is_open(verdict: Verdict, expected: Step | None) -> None:
    assert step(verdict) == expected


def test_rates_are_hopeless_that_are_worse_among_worse_ones() -> None:
    wide = [10.0**-power for power in range(9)]
    assert hopeless(verdict_on(wide, wide[4])) == (wide[8], wide[7], wide[6], wide[2], wide[1], wide[0])
    assert hopeless(verdict_on(wide, wide[2], (wide[4],))) == (wide[8], wide[7], wide[6], wide[0])
    assert hopeless(verdict_on(wide, wide[0], (wide[8],))) == tuple(wide[6:1:-1])


def test_a_diverged_rate_is_hopeless_too_unless_it_is_the_fence() -> None:
    verdict = decide(
        {3.0: [math.nan] * 3, 1.0: [math.nan] * 3, 0.3: [0.98, 0.9802, 0.9804], 0.1: [0.9, 0.9, 0.9]}
    )
    assert [rate.status for rate in verdict.rates][2:] == [DIVERGED] * 2
    assert hopeless(verdict) == (3.0,)


def test_a_study_that_dropped_rates_asks_for_none_of_them_again() -> None:
    full = verdict_on([0.3, *HALF_DECADES, 0.0003], 0.01, (0.03,), SEEDS)
    after = step(full)
    assert after is not None
    assert after.dropped == (0.0003, 0.001, 0.3)
    later = step(verdict_on(list(after.learning_rates), 0.01, (0.03,), after.seeds))
    assert later is not None
    assert later.learning_rates == after.learning_rates
    assert later.seeds == tuple(range(8))
