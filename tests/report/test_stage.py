"""Stage `report` on made-up studies: what it writes, byte for byte again, and what it refuses."""

import json
import re
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import DataError, RunError
from pipeline.core.task import AS_THEY_ARE, Task
from pipeline.params import reading
from pipeline.report.stage import report
from tests.conftest import ROOT, run_pipeline
from tests.report.conftest import realistic, write_range_test, write_study

FILES = ["comparison.csv", "curves.csv", "figures", "index.html", "summary.md", "verdict.json"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with its report, made once."""
    folder = write_study(tmp_path_factory.mktemp("study"), rates=(0.3, 0.1, 0.01, 0.001), epochs=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run()
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be spoiled, as the current folder."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


def run() -> None:
    report(Path("data/scaled"), Path("runs"), Path("report"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Elements(HTMLParser):
    """Counts tags and collects attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_report_has_all_its_files_and_no_other(finished: Path) -> None:
    assert sorted(path.name for path in (finished / "report").iterdir()) == FILES
    figures = {path.stem for path in (finished / "report/figures").iterdir()}
    assert {"response", "loss", "val_loss", "val_accuracy", "rate-0.3", "rate-0.001"} <= figures


@pytest.mark.usefixtures("study")
def test_the_same_study_gives_the_same_bytes() -> None:
    before = contents(Path("report"))
    shutil.rmtree("report")
    run()
    assert contents(Path("report")) == before


def test_comparison_has_a_row_a_run_and_curves_a_row_a_point(finished: Path) -> None:
    table = pd.read_csv(finished / "report/comparison.csv")
    assert table[["learning_rate", "seed"]].to_numpy().tolist() == [
        [rate, seed] for rate in (0.001, 0.01, 0.1, 0.3) for seed in (0, 1, 2)
    ]
    assert table.loc[table["learning_rate"] == 0.3, "best_val_accuracy"].isna().all()
    curves = pd.read_csv(finished / "report/curves.csv")
    assert list(curves.columns) == ["learning_rate", "seed", "epoch", "metric", "value"]
    own = curves[(curves["learning_rate"] == 0.01) & (curves["seed"] == 1) & (curves["metric"] == "val_loss")]
    expected = realistic(0.01, 1, 12)
    np.testing.assert_allclose(own["value"], expected["val_loss"], rtol=1e-11)
    np.testing.assert_array_equal(own["epoch"], expected["epoch"])


def test_verdict_json_is_small_plain_and_says_what_it_rests_on(finished: Path) -> None:
    content = json.loads((finished / "report/verdict.json").read_text())
    assert content["learning_rate"] in (0.01, 0.001)
    assert (content["dataset"], content["chosen_on"], content["seeds"]) == ("mnist", "validation", 3)
    assert content["rates"]["lr-0.3"]["status"] == "diverged"
    assert content["reasons"]
    assert isinstance(content["headline"], str)


def test_the_page_needs_nothing_from_elsewhere_and_no_script(finished: Path) -> None:
    page = Elements((finished / "report/index.html").read_text())
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "object", "img")]
    targets = [attributes.get(name) for _, attributes in page.tags for name in ("src", "href")]
    assert all(target.startswith(("#", "data:,")) for target in targets if target)
    style = "".join(page.words)
    assert "http" not in re.sub(r"xmlns[^ ]*", "", style)
    assert "@import" not in style


def test_the_pages_links_lead_somewhere_and_every_id_is_there_once(finished: Path) -> None:
    page = Elements((finished / "report/index.html").read_text())
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    for _, attributes in page.tags:
        for name in ("aria-labelledby",):
            assert set((attributes.get(name) or "").split()) <= set(identifiers)
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in identifiers


def test_every_chart_has_a_text_and_every_table_a_caption_and_headers(finished: Path) -> None:
    page = Elements((finished / "report/index.html").read_text())
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert charts
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in charts)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_the_first_chart_says_what_its_bars_are_and_no_line_begins_with_a_per_cent_sign(
    finished: Path,
) -> None:
    page = (finished / "report/index.html").read_text()
    assert "Bars are 95\N{NO-BREAK SPACE}% intervals of the mean. The accuracy axis is stretched" in page
    assert " %" not in page


@pytest.mark.parametrize(("held_back", "held_out"), [(500, "validation"), (0, "test")])
def test_dead_units_are_those_at_0_for_all_data_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_back: int, held_out: str
) -> None:
    write_study(tmp_path, (0.001,), (0,), 2, overrides={"data": {"validation_size": held_back}})
    monkeypatch.chdir(tmp_path)
    run()
    said = f"hare of units at 0 for all {held_out} data, layer hidden"
    assert said in Path("report/figures/dead_units_hidden.svg").read_text()
    assert said in Path("report/index.html").read_text()


@pytest.mark.usefixtures("study")
def test_mirrors_do_not_show_since_they_change_nothing() -> None:
    before = contents(Path("report"))
    reading.override(Path("params.yaml"), {"data.mirrors.mnist": ["elsewhere"]})
    run()
    assert contents(Path("report")) == before


@pytest.mark.usefixtures("study")
def test_adding_and_removing_a_rate_changes_what_the_report_lists() -> None:
    reading.override(Path("params.yaml"), {"train.learning_rates": [0.01, 0.001]})
    run()
    assert set(json.loads(Path("report/verdict.json").read_text())["rates"]) == {"lr-0.01", "lr-0.001"}
    assert not Path("report/figures/rate-0.3.svg").exists()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda: shutil.rmtree("runs/lr-0.01/seed-1"),
            RunError,
            "learning rate 0.01 and seed 1, found no folder",
        ),
        (lambda: Path("runs/lr-0.01/seed-1/history.csv").unlink(), RunError, "lr-0.01/seed-1: expected"),
        (
            lambda: Path("runs/lr-0.01/seed-1/history.csv").write_text("epoch,loss\n1,2\n"),
            RunError,
            "missing: accuracy, val_loss, val_accuracy",
        ),
        (lambda: Path("runs/lr-0.01/seed-1/metrics.json").write_text("{"), RunError, "expected JSON"),
        (
            lambda: shutil.copyfile("runs/lr-0.1/seed-1/metrics.json", "runs/lr-0.01/seed-1/metrics.json"),
            RunError,
            "got {'learning_rate': 0.1, 'seed': 1}",
        ),
        (
            lambda: reading.override(Path("params.yaml"), {"train.epochs": 13}),
            RunError,
            "learning rate 0.001 and seed 0: expected what the present parameters, data and code give.*"
            "`dvc repro -f -s train@0.001-0` does",
        ),
        (
            lambda: reading.override(Path("params.yaml"), {"train.batch_size": 64}),
            RunError,
            "expected what the present parameters, data and code give",
        ),
        (
            lambda: np.save("runs/lr-0.01/seed-1/predictions.npy", np.zeros(7, np.int32)),
            RunError,
            "expected a prediction for each of 400 test examples, got 7",
        ),
        (lambda: Path("data/scaled/test_labels.npy").unlink(), DataError, "expected an array, found no file"),
    ],
)
@pytest.mark.usefixtures("study")
def test_what_is_missing_or_wrong_is_said_before_anything_is_written(
    spoil: object, error: type[Exception], message: str
) -> None:
    before = contents(Path("report"))
    spoil()  # type: ignore[operator]
    with pytest.raises(error, match=f"(?s){re.escape(message) if '*' not in message else message}"):
        run()
    assert contents(Path("report")) == before


def test_no_setting_of_a_user_s_matplotlib_changes_a_byte(study: Path, tmp_path: Path) -> None:
    before = contents(Path("report"))
    settings = (
        "backend: nonsense\nsvg.fonttype: path\nlines.linewidth: 9\nfont.size: 30\naxes.facecolor: red\n"
    )
    for folder in (study, tmp_path):  # of the folder, and of the user
        (folder / "matplotlibrc").write_text(settings)
    done = run_pipeline(
        study,
        *("report", "data/scaled", "runs", "report"),
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        MPLCONFIGDIR=str(tmp_path),
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 0, done.stderr
    assert contents(Path("report")) == before


def test_fifty_thousand_epochs_are_a_page_of_a_few_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, (0.01,), (0,), 50_000)
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    run()
    assert time.process_time() - began < 20  # linear, it takes 2
    assert Path("report/index.html").stat().st_size < 4e6


def test_a_study_of_the_recipe_says_that_it_chose_on_test_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, (0.1, 0.01), (0,), 6, overrides={"data": {"validation_size": 0}})
    monkeypatch.chdir(tmp_path)
    run()
    for file in ("index.html", "summary.md", "verdict.json"):
        assert "This choice was made on test data" in Path("report", file).read_text()
    content = json.loads(Path("report/verdict.json").read_text())
    assert (content["chosen_on"], content["indistinguishable"]) == ("test", None)


def test_a_study_of_one_run_and_one_epoch_has_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_study(tmp_path, (0.01,), (0,), 1)
    monkeypatch.chdir(tmp_path)
    run()
    assert json.loads(Path("report/verdict.json").read_text())["learning_rate"] == 0.01


def test_a_study_in_which_all_diverged_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path, (0.3, 0.5), (0, 1), 6)
    monkeypatch.chdir(tmp_path)
    run()
    assert json.loads(Path("report/verdict.json").read_text())["learning_rate"] is None
    assert "No learning rate can be recommended." in Path("report/index.html").read_text()


def test_the_best_rate_for_the_configured_epochs_is_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
        grown = [1.0, 1.0, *[9.0] * (epochs - 2)]
        return realistic(0.001, seed, epochs).assign(
            **({"loss": grown, "val_accuracy": 0.996} if rate > 0.01 else {})
        )

    write_study(tmp_path, (0.1, 0.001), (0, 1), 10, curve, {"report": {"budgets": [2, 10]}})
    monkeypatch.chdir(tmp_path)
    run()
    table = Path("report/index.html").read_text().partition('id="table-winners"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(\d+)</th><td>([\d.]+)</td>', table) == [
        ("2", "0.1"),
        ("10", "0.001"),
    ]
    assert json.loads(Path("report/verdict.json").read_text())["learning_rate"] == 0.001


TABLE = Task("own", (30,), ("benign", "malignant"), AS_THEY_ARE, {})


def test_another_task_is_described_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        "data": {"validation_size": 20},
        "optimizer": {"name": "sgd", "momentum": 0.9},
        "schedule": {"name": "cosine", "warmup": 0.1},
        "train": {"keep": "last_epoch"},
    }
    write_study(tmp_path, (0.01, 0.001), (0, 1), 12, overrides=chosen, task=TABLE)
    monkeypatch.chdir(tmp_path)
    run()

    page = Path("report/index.html").read_text()
    texts = [page, *(Path("report", name).read_text() for name in ("summary.md", "verdict.json"))]
    texts += [path.read_text() for path in Path("report/figures").iterdir()]
    assert not re.findall(r"(?i)\b(?:mnist|digits?|images?|ten|784|pixels?|ln 10)\b", "".join(texts))
    for fact in ("data set: own", "input shape: 30", "classes: 2", "optimizer: sgd (momentum: 0.9)"):
        assert f"<span>{fact}</span>" in page
    assert "schedule cosine (warmup: 0.1)" in texts[1]
    assert json.loads(texts[2])["criterion"] == "last_epoch"
    classes = page.partition('id="table-classes"')[2].partition("</table>")[0]
    assert set(re.findall(r'<th scope="row" class="text fact">(\w+)</th>', classes)) == set(TABLE.classes)
    assert "Best rate for a budget" not in page
    assert "a shorter run would have followed another one" in page


@pytest.mark.parametrize(("classes", "accuracy", "said"), [(2, 1.0, False), (200, 0.0, True)])
def test_the_fewest_and_many_classes_have_a_report_at_either_end_of_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int, accuracy: float, said: bool
) -> None:
    def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
        return realistic(rate, seed, epochs).assign(accuracy=accuracy, val_accuracy=accuracy)

    task = TABLE._replace(classes=tuple(f"class {number}" for number in range(classes)))
    write_study(tmp_path, (0.01, 0.001), (0, 1), 5, curve, {"data": {"validation_size": 20}}, task)
    monkeypatch.chdir(tmp_path)
    run()
    page = Path("report/index.html").read_text()
    assert page.partition('id="table-classes"')[2].partition("</table>")[0].count("<tr>") == 1 + classes
    assert ("the largest class, would reach" in Path("report/summary.md").read_text()) is said


@pytest.mark.usefixtures("study")
def test_the_range_test_is_held_against_the_study() -> None:
    write_range_test(Path("range_test"), {"steepest": 0.0011, "minimum / 10": 0.25})
    report(Path("data/scaled"), Path("runs"), Path("report"), Path("range_test"))
    page = Path("report/index.html").read_text()
    assert "Steepest suggests 0.0011, nearest to 0.001: the study " in page
    assert "the study disagrees; that rate diverged" in page
    content = json.loads(Path("report/verdict.json").read_text())["range_test"]
    assert content["minimum_10"] == {"suggests": 0.25, "agrees": False}


def test_a_rate_that_scatters_far_below_is_not_agreed_with_and_no_reason_to_widen_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def curve(rate: float, seed: int, epochs: int) -> pd.DataFrame:
        scattered = {"val_accuracy": [0.98, 0.5, 0.9][seed]} if rate > 0.01 else {}
        return realistic(0.001, seed, epochs).assign(**scattered)

    write_study(tmp_path, (0.1, 0.001, 0.0005), (0, 1, 2), 6, curve)
    write_range_test(tmp_path / "range_test", {"steepest": 0.1})
    monkeypatch.chdir(tmp_path)
    report(Path("data/scaled"), Path("runs"), Path("report"), Path("range_test"))
    content = json.loads(Path("report/verdict.json").read_text())
    assert content["indistinguishable"] == [0.0005 if content["learning_rate"] == 0.001 else 0.001, 0.1]
    assert content["range_test"]["steepest"]["agrees"] is None
    assert not any("highest" in advice for advice in content["advice"])


def test_forty_rates_are_read_in_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 0.5, 40)]
    write_study(tmp_path, rates, (0, 1, 2), 6)
    monkeypatch.chdir(tmp_path)
    run()
    content = json.loads(Path("report/verdict.json").read_text())
    sentences = [*content["detail"], *content["reasons"], *content["advice"]]
    assert len(content["reasons"]) <= 14
    assert max(len(re.findall(r"\d\.\d+", sentence)) for sentence in sentences) <= 20
    page = Path("report/index.html").read_text()
    folded = page.partition("<details>")[2].partition("</details>")[0]
    assert (folded.count("<figure"), page.count('<figure id="chart-rate-')) == (34, 40)
    assert Path("report/summary.md").read_text().count("\n| 0.") == 12
    assert "28 more rates are in `verdict.json`." in Path("report/summary.md").read_text()
