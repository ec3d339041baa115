"""Stage `report`: compare the configured runs, choose a rate, say why, and draw it all."""

from collections.abc import Mapping
from pathlib import Path

from pipeline import params
from pipeline.core import files, tables
from pipeline.core import task as tasks
from pipeline.core.runs import Run
from pipeline.params import Params
from pipeline.range_test.rules import Suggestion
from pipeline.report import inputs, metrics, page
from pipeline.report.analysis.analyse import Analysis, analyse
from pipeline.report.analysis.setting import Setting
from pipeline.report.charts import gallery
from pipeline.report.text import summary
from pipeline.report.text.statement import compose


def report(scaled: Path, runs: Path, report: Path, range_test: Path | None = None) -> None:
    """Write index.html, comparison.csv, curves.csv, verdict.json, summary.md and figures/ into `report`.

    Reads exactly the runs that params.yaml configures; nothing is written before all of it is made.

    Args:
        range_test: the folder that stage `range_test` wrote, to be held against the study.

    Raises:
        ParamsError: params.yaml cannot be worked with.
        RunError: a configured run is missing, damaged or was made with other parameters, data or code.
        DataError: task.json or the labels are missing or damaged.
        ChangedError: code or parameters were edited meanwhile.
    """
    check, study = params.watch(), params.load()
    ranged = inputs.read_range_test(range_test) if range_test else None
    analysis, trained = examine(scaled, runs, study, ranged.suggestions if ranged else None)
    statement = compose(analysis)
    charts = list(gallery.charts(analysis.verdict, trained, ranged))
    origin = inputs.read_origin(scaled, study)
    html = page.render(analysis, statement, charts, origin)
    markdown = summary.render(analysis, statement)
    check()

    with files.replacing_folder(report / "figures") as folder:
        for chart in charts:
            files.write_text(folder / f"{chart.name}.svg", chart.svg)
    tables.write(report / "comparison.csv", analysis.table)
    tables.write(report / "curves.csv", analysis.curves)
    files.write_json(report / "verdict.json", metrics.render(analysis, statement))
    files.write_text(report / "summary.md", markdown)
    files.write_text(report / "index.html", html)


def examine(
    scaled: Path, runs: Path, study: Params, suggestions: Mapping[str, Suggestion] | None = None
) -> tuple[Analysis, list[Run]]:
    """Read the runs that the study configures, and compute all that the report shows of them.

    Raises:
        RunError, DataError: as `report` does.
    """
    setting = Setting(tasks.read(scaled), study)
    labels = {part: inputs.read_labels(scaled, part, setting.task) for part in ("test", setting.chosen_on)}
    trained = inputs.read_runs(runs, study, len(labels["test"]))
    return analyse(trained, setting, labels, suggestions), trained
