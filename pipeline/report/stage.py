"""Stage `report`: compare the configured runs, choose a rate, say why, and draw it all."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import params
from pipeline.core import files, tables
from pipeline.core.runs import Run
from pipeline.report import inputs, metrics, page
from pipeline.report.analysis.analyse import Analysis, analyse
from pipeline.report.charts import gallery, svg
from pipeline.report.inputs import RangeTest
from pipeline.report.page import Drawing
from pipeline.report.text import summary, wording
from pipeline.report.text.statement import state


def report(scaled: Path, runs: Path, report: Path, range_test: Path | None = None) -> None:
    """Write index.html, comparison.csv, curves.csv, verdict.json, summary.md and figures/ into `report`.

    Reads exactly the runs that params.yaml configures; nothing is written before all of it is made.

    Args:
        range_test: the folder that stage `range_test` wrote, to be held against the study.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        RunError: a configured run is missing, damaged or was made with other parameters.
        DataError: the test labels are missing or damaged.
    """
    study = params.load()
    labels = inputs.read_labels(scaled, "test")
    held_out = len(inputs.read_labels(scaled, "validation")) or len(labels)
    trained = inputs.read_runs(runs, study, len(labels))
    ranged = inputs.read_range_test(range_test) if range_test else None
    analysis = analyse(trained, study, labels, held_out, ranged.suggestions if ranged else None)
    statement = state(analysis)
    drawings = list(_draw(analysis, trained, ranged))
    origin = inputs.read_origin(scaled, study)
    html = page.render(analysis, statement, study.report, drawings, origin)
    markdown = summary.render(analysis, statement)

    with files.replacing_folder(report / "figures") as folder:
        for drawing in drawings:
            files.write_text(folder / f"{drawing.name}.svg", drawing.svg)
    tables.write(report / "comparison.csv", analysis.table)
    tables.write(report / "curves.csv", analysis.curves)
    files.write_json(report / "verdict.json", metrics.render(analysis, statement))
    files.write_text(report / "summary.md", markdown)
    files.write_text(report / "index.html", html)


def _draw(analysis: Analysis, runs: Sequence[Run], ranged: RangeTest | None) -> Iterator[Drawing]:
    verdict = analysis.verdict
    criterion = wording.criterion(verdict.criterion, verdict.setting.chosen_on)
    histories = {
        rate.learning_rate: [run.history for run in runs if run.learning_rate == rate.learning_rate]
        for rate in verdict.rates
    }
    charts = [gallery.charts(verdict, histories, criterion)]
    if ranged:
        medians = {rule: suggestion.median for rule, suggestion in ranged.suggestions.items()}
        charts.append(gallery.range_charts(ranged.rates, ranged.losses, medians, verdict.learning_rate))
    for drawn in charts:
        for chart in drawn:
            yield Drawing(chart.name, chart.group, chart.title, chart.description, svg.to_text(chart.figure))
