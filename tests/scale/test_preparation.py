"""Scaling, one-hot rows and the split: exact values, and which input is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.core.datasets import CLASSES, DATASETS, Dataset
from pipeline.core.errors import DataError
from pipeline.core.task import AS_THEY_ARE, GREY_LEVELS, Scaling
from pipeline.scale.preparation import class_shares, fit_scaling, one_hot, scale_inputs, split


def images_with(labels: NDArray[np.integer], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)


def test_every_grey_level_becomes_the_float32_next_to_its_share_of_255() -> None:
    image = np.arange(28 * 28).astype(np.uint8).reshape(1, 28, 28, 1)  # all 256 levels, some of them often
    for standardise in (False, True):
        scaling = fit_scaling(image, standardise=standardise)

        scaled = scale_inputs(image, scaling)

        assert scaling == GREY_LEVELS
        assert scaled.dtype == np.float32
        assert scaled.shape == image.shape
        assert scaled.ravel().tolist() == [np.float32(level / 255) for level in image.ravel()]
        assert (scaled.min(), scaled.max()) == (0, 1)


def test_floats_are_taken_as_they_are_unless_they_are_standardised() -> None:
    table = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)

    scaling = fit_scaling(table, standardise=False)

    assert scaling == AS_THEY_ARE
    assert np.array_equal(scale_inputs(table, scaling), table)


@pytest.mark.parametrize("shape", [(200, 3), (40, 5, 6, 3)], ids=["features", "channels"])
def test_standardised_floats_have_mean_0_and_deviation_1_along_the_last_axis(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal((-1e3, 0, 5e4), (1e-3, 1, 1e3), shape).astype(np.float32)

    scaling = fit_scaling(inputs, standardise=True)
    scaled = scale_inputs(inputs, scaling).reshape(-1, 3)

    rows = inputs.reshape(-1, 3).astype(np.float64)
    assert scaling.mean == pytest.approx(rows.mean(axis=0), rel=1e-6, abs=1e-6)
    assert scaling.deviation == pytest.approx(rows.std(axis=0), rel=1e-6)
    assert not scaling.levels
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.1)  # float32 beside -1000
    assert scaled.std(axis=0) == pytest.approx(np.ones(3), rel=0.01)


@settings(deadline=None)
@given(value=st.floats(width=32, allow_nan=False, allow_infinity=False), size=st.integers(1, 300))
def test_a_constant_feature_becomes_0_and_is_never_divided_by_its_rounding(value: float, size: int) -> None:
    inputs = np.full((size, 2), value, np.float32)
    inputs[:, 1] = np.arange(size)

    scaling = fit_scaling(inputs, standardise=True)

    assert scaling.deviation[0] == 1
    assert not scale_inputs(inputs, scaling)[:, 0].any()
    assert np.isfinite(scale_inputs(inputs, scaling)).all()


def test_a_feature_that_varies_by_less_than_float32_can_divide_by_is_only_shifted() -> None:
    tiny = np.array([[0], [1e-45], [0], [0]], np.float32)

    assert fit_scaling(np.repeat(tiny, 1000, axis=0), standardise=True).deviation == (1,)


@pytest.mark.parametrize(
    ("inputs", "scaling", "said"),
    [
        (np.zeros((1, 2), np.float32), GREY_LEVELS, "expected uint8, got float32. Scale raw inputs, once."),
        (np.zeros((1, 2), np.int64), GREY_LEVELS, "expected uint8, got int64. Scale raw inputs, once."),
        (np.zeros((1, 2), np.uint8), AS_THEY_ARE, "expected float32, got uint8. Scale raw inputs, once."),
        (np.zeros((1, 2)), AS_THEY_ARE, "expected float32, got float64. Scale raw inputs, once."),
    ],
)
def test_inputs_of_another_type_than_the_scaling_was_fitted_to_are_refused(
    inputs: np.ndarray, scaling: Scaling, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        scale_inputs(inputs, scaling)
    assert str(caught.value) == said


def test_one_hot_sets_one_value_in_each_row() -> None:
    rows = one_hot(np.array([2, 0, 9], np.uint8), 10)

    assert rows.dtype == np.float32
    assert rows.shape == (3, 10)
    assert [np.flatnonzero(row).tolist() for row in rows] == [[2], [0], [9]]
    assert rows.sum() == 3


def test_no_examples_make_arrays_of_no_rows() -> None:
    assert scale_inputs(np.zeros((0, 5, 5, 3), np.uint8), GREY_LEVELS).shape == (0, 5, 5, 3)
    assert one_hot(np.zeros(0, np.uint8), 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([0, 10], np.uint8), "expected labels 0 to 9, got 0 to 10"),
        (np.array([-1, 3]), "expected labels 0 to 9, got -1 to 3"),
        (np.array([0.0, 1.0]), r"expected whole-numbered labels \(n,\), got float64 \(2,\)"),
        (np.array([[0, 1]]), r"expected whole-numbered labels \(n,\), got int64 \(1, 2\)"),
    ],
)
def test_labels_outside_the_classes_are_refused(labels: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        one_hot(labels, 10)


@st.composite
def _labels_and_size(draw: st.DrawFn) -> tuple[NDArray[np.uint8], int]:
    counts = draw(st.lists(st.integers(3, 12), min_size=2, max_size=CLASSES))
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.uint8)
    labels = np.array(draw(st.permutations(labels.tolist())), np.uint8)
    return labels, draw(st.integers(0, len(labels)))


@settings(deadline=None)
@given(_labels_and_size(), st.randoms(use_true_random=False))
def test_a_split_is_exact_stratified_and_independent_of_the_order(drawn, random) -> None:
    labels, size = drawn
    images = images_with(labels)
    counts = np.bincount(labels)
    try:
        training, held_out = split(images, labels, size)
    except DataError:
        shares = np.array(class_shares(counts.tolist(), size))
        assert ((shares == 0) | (shares == counts)).any()
        return

    assert len(held_out) == size
    assert sorted([*training, *held_out]) == list(range(len(labels)))
    assert (np.diff(training) > 0).all()
    assert (np.diff(held_out) > 0).all()
    exact = counts * size / len(labels)
    assert (np.abs(np.bincount(labels[held_out], minlength=len(counts)) - exact) < 1).all()

    order = list(range(len(labels)))
    random.shuffle(order)
    _, moved = split(images[order], labels[order], size)
    assert sorted(np.array(order)[moved]) == held_out.tolist()


def test_the_split_never_changes() -> None:
    labels = (np.arange(60) % 10).astype(np.uint8)
    images = np.zeros((60, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(60)

    _, held_out = split(images, labels, 12)

    # Written down once; another choice would be another study.
    assert held_out.tolist() == [0, 1, 3, 5, 7, 11, 24, 36, 39, 40, 48, 52]


def test_the_examples_held_out_are_a_fair_sample() -> None:
    """Mean grey level of the held out against that of all, within 4 standard errors; the seed is fixed."""
    labels = (np.arange(4000) % 10).astype(np.uint8)
    images = images_with(labels)
    levels = images.mean(axis=(1, 2))

    _, held_out = split(images, labels, 1000)

    error = levels.std() * np.sqrt(1 / 1000 - 1 / 4000)
    assert abs(levels[held_out].mean() - levels.mean()) < 4 * error
    assert abs(held_out.mean() - 1999.5) < 4 * 4000 / np.sqrt(12) * np.sqrt(1 / 1000 - 1 / 4000)


@pytest.mark.parametrize(
    ("counts", "size", "said"),
    [
        ([50, 1], 10, "got none of class 1 on one side with 10 of 51 examples held out"),
        ([50, 1], 50, "got none of class 1 on one side with 50 of 51 examples held out"),
        ([5, 5], 10, "got none of class 0, 1 on one side with 10 of 10 examples held out"),
        ([5, 5], 1, "got none of class 1 on one side with 1 of 10 examples held out"),
        ([5, 5], 11, "expected 0 to 10 examples to hold out, got 11"),
        ([5, 5], -1, "expected 0 to 10 examples to hold out, got -1"),
    ],
)
def test_a_split_that_leaves_a_class_out_is_refused(counts: list[int], size: int, said: str) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)

    with pytest.raises(DataError, match=said):
        split(images_with(labels), labels, size)


def test_nothing_is_divided_into_nothing() -> None:
    assert class_shares([0, 0], 0) == [0, 0]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_sizes_that_params_accept_leave_no_class_out(dataset: Dataset) -> None:
    """params.yaml is checked against a plain range, before any image is read: it must be the right range."""
    counts = np.array(dataset.train.class_counts)
    edge = 400
    for size in [*range(edge), *range(edge, dataset.train.size - edge, 97),
                 *range(dataset.train.size - edge, dataset.train.size + 1)]:  # fmt: skip
        shares = np.array(class_shares(counts.tolist(), size))
        fits = bool(((shares > 0) & (shares < counts)).all())
        assert fits == (CLASSES <= size <= dataset.train.size - CLASSES), size
