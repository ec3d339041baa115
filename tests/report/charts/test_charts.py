"""Charts: the same bytes each time, readable labels, colours that the page can replace, odd histories."""

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core import measures
from pipeline.core.measures import MEASURES, Measure
from pipeline.range_test.rules import Suggestion
from pipeline.report.charts import gallery, style, svg
from pipeline.report.charts.curves import curves_chart
from pipeline.report.charts.range_test import range_chart
from pipeline.report.charts.recipe import recipe_chart
from pipeline.report.charts.response import response_chart
from pipeline.report.inputs import RangeTest
from pipeline.report.stage import report
from tests.report.conftest import history, realistic, write_study
from tests.report.samples import verdict_on

SVG = "{http://www.w3.org/2000/svg}"


def texts(document: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(document).iter(f"{SVG}text")]  # noqa: S314  (our own)


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_a_chart_gives_the_same_bytes_each_time_and_tells_no_time() -> None:
    documents = [svg.to_text(recipe_chart([realistic(0.01, 0, 20)])) for _ in range(2)]
    assert documents[0] == documents[1]
    assert "<metadata>" not in documents[0]
    assert not re.search(r"20\d\d-\d\d-\d\d", documents[0])


def test_a_runs_chart_shows_loss_and_accuracy_of_training_and_validation() -> None:
    shown = texts(svg.to_text(recipe_chart([realistic(0.01, 0, 20)])))
    assert {"loss", "accuracy", "training", "validation", "epoch"} <= set(shown)
    assert shown.count("training") == 2


def test_numbers_in_labels_are_not_shortened_as_coordinates_are() -> None:
    histories = {0.0001: [realistic(0.0001, 0, 5)], 0.00003: [realistic(0.00003, 0, 5)]}
    document = svg.to_text(curves_chart(histories, "loss", "training loss", log=True))
    assert {"0.0001", "0.00003"} <= set(texts(document))
    assert not re.search(r'd="[^"]*\d\.\d{3}', document)


@pytest.mark.parametrize(
    "table",
    [
        history([2.3], [2.3]),
        history([2.3, np.nan], [2.3, np.nan]),
        history([np.nan], [np.nan]),
        history([1e30, 1.0, 0.5], [2.0, 1.0, 0.5]),
        history([0.0] * 4, [0.0] * 4),
        history([0.5] * 3, [0.5] * 3, val_accuracy=[1.0] * 3, accuracy=[1.0] * 3),
    ],
    ids=["one-epoch", "diverged", "never-finite", "towering", "zero", "perfect"],
)
def test_odd_histories_can_be_drawn(table: pd.DataFrame) -> None:
    svg.to_text(recipe_chart([table, table]))
    for column in ("loss", "val_accuracy"):
        svg.to_text(curves_chart({0.1: [table], 0.01: [table]}, column, "odd", log=True))


def test_a_first_loss_that_would_flatten_the_rest_is_cut_off_and_said() -> None:
    document = svg.to_text(recipe_chart([history([15.1, 0.4, 0.3], [0.5, 0.3, 0.2])]))
    assert "off the scale: 15.1 at epoch 1" in texts(document)


def test_a_loss_that_rises_above_its_first_value_is_shown_to_its_end() -> None:
    figure = recipe_chart([history([0.4, 0.1, 0.01], [0.1, 0.5, 1.5])])
    assert figure.axes[0].get_ylim()[1] > 1.5


@pytest.mark.parametrize(("last", "crosses"), [(np.nan, 1), (0.0, 0)])
def test_only_a_divergence_ends_in_a_cross(last: float, crosses: int) -> None:
    runs = {0.1: [history([1.0, 0.5, last], [1.0] * 3)], 0.01: [history([1.0, 0.5, 0.2], [1.0] * 3)]}
    (axes,) = curves_chart(runs, "loss", "training loss", log=True).axes
    assert len([line for line in axes.lines if line.get_marker() == "x"]) == crosses


def test_labels_at_the_ends_of_lines_do_not_overlap() -> None:
    _, (axes,) = style.figure()
    axes.set_ylim(0, 1)
    style.end_labels(axes, [(0.5 + index / 1000, str(index), style.INK) for index in range(12)])
    heights = sorted(text.get_position()[1] * axes.get_window_extent().height for text in axes.texts)
    assert all(after - before > 10.5 for before, after in itertools.pairwise(heights))
    assert [text.get_text() for text in sorted(axes.texts, key=lambda text: text.get_position()[1])] == [
        str(index) for index in range(12)
    ]


def test_more_labels_than_fit_stay_inside() -> None:
    _, (axes,) = style.figure()
    style.end_labels(axes, [(0.5, str(index), style.INK) for index in range(80)])
    assert all(-0.01 <= text.get_position()[1] <= 1.01 for text in axes.texts)


def test_a_crowd_at_the_top_does_not_push_the_lowest_label_out() -> None:
    _, (axes,) = style.figure()
    axes.set_ylim(0, 1)
    style.end_labels(axes, [(0.05, "low", style.INK), *[(0.99, str(index), style.INK) for index in range(8)]])
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights.pop("low") == pytest.approx(0.05)
    assert min(heights.values()) > 0.5
    assert max(heights.values()) <= 1.01


@pytest.mark.parametrize("count", [1, 2, 4, 9, 20])
def test_every_colour_can_be_told_from_its_paper_and_found_again(count: int) -> None:
    colours = gallery.css_variables(count)
    lights = [colour.light for colour in colours.values()]
    assert len(set(lights)) == len(lights)
    for name, colour in colours.items():
        if name not in ("paper", "grid"):
            least = 3.0 if name.startswith("rate-") else 4.5
            assert contrast(colour.light, colours["paper"].light) >= least, name
            assert contrast(colour.dark, colours["paper"].dark) >= least, name


def test_rates_grow_lighter_so_that_their_order_survives_colour_blindness() -> None:
    for scheme in ("light", "dark"):
        values = [luminance(getattr(colour, scheme)) for colour in style.rate_colours(6)]
        assert values == sorted(values)


def test_inside_the_page_a_chart_has_a_name_and_follows_the_pages_colours() -> None:
    variables = {colour.light: name for name, colour in gallery.css_variables(2).items()}
    histories = {rate: [realistic(rate, 0, 5)] for rate in (0.1, 0.01)}
    document = svg.to_text(curves_chart(histories, "loss", "x", log=True))
    inline = svg.inline(document, "loss", "<b>Loss</b>", 'a "quoted" & odd text', variables)
    assert inline.startswith("<svg viewBox=")
    assert 'role="img" aria-labelledby="loss-title loss-desc"' in inline
    assert "&lt;b&gt;Loss&lt;/b&gt;" in inline
    assert "#" not in re.sub(r'(url\(#loss-|href="#loss-)', "", re.sub(r"&#?\w+;", "", inline))
    identifiers = re.findall(r'\bid="([^"]*)"', inline)
    assert len(set(identifiers)) == len(identifiers)
    assert all(identifier.startswith("loss-") for identifier in identifiers)
    assert all(f'id="{target}"' in inline for target in re.findall(r'href="#([^"]*)"', inline))


def test_the_range_tests_chart_marks_suggestions_and_the_studys_choice() -> None:
    rates = np.geomspace(1e-5, 1, 50)
    losses = np.stack([2.3 - np.linspace(0, 2, 50), 2.3 - np.linspace(0, 1.9, 50)])
    losses[:, 45:] = np.nan
    suggestions = {rule: Suggestion(0.001, 0.001, 0.001) for rule in ("steepest", "valley")}
    document = svg.to_text(range_chart(RangeTest(rates, losses, suggestions), 0.001))
    shown = {text.strip() for text in texts(document)}
    assert {"steepest", "valley", "study"} <= shown
    assert {"0.00001", "0.0001", "0.001", "0.01"} <= shown


def test_of_many_layers_a_few_are_drawn_from_the_first_to_the_last_whatever_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
        layers = [f'block {layer}."$x$"' for layer in range(30)]
        columns = {f"update_ratio_{layer}": 0.01 for layer in layers}
        return realistic(rate, seed, epochs).drop(columns=["update_ratio_hidden"]).assign(**columns)

    monkeypatch.chdir(write_study(tmp_path / "study", rates=(0.01,), seeds=(0,), epochs=5, curve=curve))
    report(Path("data/scaled"), Path("runs"), Path("report"))

    drawn = {path.stem for path in Path("report/figures").glob("update_ratio_*")}
    assert len(drawn) == gallery.MOST_LAYERS
    assert {"update_ratio_output", "update_ratio_block-29.--x--"} <= drawn
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "at most 6 charts are drawn" in page
    assert "layer block 29.&quot;$x$&quot;" in page


@pytest.mark.parametrize(
    ("rates", "turned", "labelled"),
    [
        ([0.1, 0.01, 0.001], False, True),
        ([2.0**-power for power in range(8)], True, True),
        ([2.0**-power for power in range(13)], False, False),
        ([1e12, 1.0, 0.1, 0.01], True, True),
        ([0.1, 0.09, 0.001], False, False),
        ([0.1], False, True),
    ],
)
def test_rates_that_lie_close_have_their_labels_turned_or_none_of_their_own(
    rates: list[float], *, turned: bool, labelled: bool
) -> None:
    (axes,) = response_chart(verdict_on(rates, rates[0]), "accuracy").axes
    assert (axes.get_xticklabels()[0].get_rotation() > 0) == turned
    assert (list(axes.get_xticks()) == sorted(rates)) == labelled


def test_the_chosen_rate_stands_out_of_a_crowd() -> None:
    rates = [2.0**-power for power in range(40)]
    (axes,) = response_chart(verdict_on(rates, rates[20]), "accuracy").axes
    sizes = {line.get_xdata()[0]: line.get_markersize() for line in axes.lines if line.get_zorder() == 3}
    assert sizes.pop(rates[20]) > 1.5 * max(sizes.values())


def test_a_measure_more_is_a_chart_more_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
        return realistic(rate, seed, epochs).assign(sharpness=np.linspace(1, 2, epochs))

    more = (*MEASURES, Measure("sharpness", "sharpness on {held_out}", log=True))
    monkeypatch.setattr(measures, "MEASURES", more)
    monkeypatch.chdir(write_study(tmp_path / "study", rates=(0.01, 0.001), seeds=(0,), epochs=5, curve=curve))
    report(Path("data/scaled"), Path("runs"), Path("report"))

    figures = {path.stem for path in Path("report/figures").iterdir()}
    assert {"loss", "val_loss", "val_accuracy", "gradient_norm", "update_ratio_hidden"} <= figures
    assert "accuracy" not in figures  # it is in each rate's own chart
    assert "Sharpness on validation" in Path("report/index.html").read_text(encoding="utf-8")
    assert "sharpness" in figures
