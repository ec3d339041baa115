"""Whether the grid is wide and fine enough, and what params.yaml should list."""

import pytest

from pipeline.report.analysis import grid
from pipeline.report.analysis.grid import Advice
from tests.report.samples import verdict_on

HALF_DECADES = [0.1, 0.03, 0.01, 0.003, 0.001]
NOTHING = Advice((), (), None, None, None)


def advise(
    rates: list[float],
    chosen: float | None,
    near: tuple[float, ...] = (),
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4),
    *,
    improving: bool = False,
    coarse_ratio: float = 3.5,
) -> Advice:
    return grid.advise(verdict_on(rates, chosen, near, seeds, improving=improving), coarse_ratio)


def test_an_inner_best_rate_with_near_neighbours_leaves_nothing_open() -> None:
    assert advise(HALF_DECADES, 0.01) == NOTHING


@pytest.mark.parametrize(
    ("chosen", "rates"),
    [(0.1, (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)), (0.001, (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003))],
)
def test_a_best_rate_at_the_edge_asks_for_more_beyond_it(chosen: float, rates: tuple[float, ...]) -> None:
    assert advise(HALF_DECADES, chosen) == NOTHING._replace(edges=(chosen,), rates=rates)


def test_a_rate_at_the_edge_that_is_not_distinguishable_from_the_best_counts_as_well() -> None:
    assert advise(HALF_DECADES, 0.03, (0.1,)).edges == (0.1,)
    assert advise(HALF_DECADES, 0.03, (0.1,), seeds=(0, 1)).edges == ()


@pytest.mark.parametrize(
    ("rates", "beyond"), [([1.1, 1.0], 2.0), ([8.0, 1.0], 60.0), ([100.0, 1.0], 1000.0), ([30.0, 10.0], 90.0)]
)
def test_the_step_beyond_an_edge_is_the_grids_within_a_factor_of_2_and_10(
    rates: list[float], beyond: float
) -> None:
    advice = advise(rates, rates[0], coarse_ratio=1000.0).rates
    assert advice == (beyond, *rates)


def test_seeds_that_leave_no_doubt_are_enough_and_so_are_those_of_the_last_look() -> None:
    assert advise(HALF_DECADES, 0.01, (0.03,), seeds=tuple(range(20))) == NOTHING
    assert advise(HALF_DECADES, 0.01, (), seeds=(0, 1, 2)) == NOTHING


def test_neighbours_exactly_as_far_apart_as_may_be_are_near() -> None:
    assert advise([12.25, 3.5, 1.0], 3.5) == NOTHING


def test_a_rate_between_that_would_round_to_one_of_the_grid_gets_a_digit_more() -> None:
    assert advise([4.0, 2.0, 1.0], 2.0, coarse_ratio=1.5).rates == (4.0, 3.0, 2.0, 1.4, 1.0)
    near = advise([1.01, 1.0, 0.99], 1.0, coarse_ratio=1.01)
    assert near.rates == (1.01, 1.0, pytest.approx(0.99**0.5), 0.99)  # two digits would meet it as well


def test_no_rate_is_proposed_that_would_hardly_train_or_lies_beyond_all_reason() -> None:
    assert advise([1e-8, 1e-9], None).rates is None
    assert advise([1e-7, 1e-6], None).rates == (1e-6, 1e-7, 1e-8, 1e-9)
    assert advise([900.0, 300.0], 900.0) == NOTHING._replace(edges=(900.0,))


def test_far_neighbours_that_are_worse_ask_for_rates_between() -> None:
    expected = NOTHING._replace(gaps=(0.0001, 0.01), rates=(0.1, 0.01, 0.003, 0.001, 0.0003, 0.0001))
    assert advise([0.1, 0.01, 0.001, 0.0001], 0.001) == expected


def test_a_flat_top_asks_for_seeds_and_not_for_a_finer_grid() -> None:
    advice = advise([0.1, 0.01, 0.001, 0.0001], 0.001, (0.01,), seeds=(0, 1, 7))
    assert advice.seeds == (0, 1, 7, 2, 3)  # the next planned look
    assert advise(HALF_DECADES, 0.01, (0.03,), seeds=tuple(range(5))).seeds == tuple(range(8))
    assert advice.gaps == (0.0001,)


def test_runs_that_were_still_improving_ask_for_more_epochs() -> None:
    assert advise(HALF_DECADES, 0.01, improving=True) == NOTHING._replace(epochs=40)


def test_one_seed_asks_for_more_and_one_rate_for_neighbours() -> None:
    expected = NOTHING._replace(rates=(0.1, 0.01, 0.001), seeds=(3, 0, 1))
    assert advise([0.01], 0.01, seeds=(3,)) == expected
    assert advise([0.09], 0.09).rates == (0.9, 0.09, 0.009)


def test_a_grid_of_diverged_rates_goes_down() -> None:
    assert advise([1.0, 0.3], None) == NOTHING._replace(rates=(1.0, 0.3, 0.03, 0.003))
    assert advise([1.0], None).rates == (1.0, 0.1, 0.01)
