"""The report's page: one HTML file that needs nothing else, no script, and reads on paper and on a phone.

All text is escaped by the template, whatever a data set or a tag may be called.
"""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from pipeline.range_test.rules import RULES
from pipeline.report.analysis.analyse import Analysis
from pipeline.report.analysis.comparison import CRITERIA
from pipeline.report.analysis.statistics import COUNTED_ON, LOOKS
from pipeline.report.charts import gallery, svg
from pipeline.report.charts.gallery import Chart
from pipeline.report.text import templates, wording
from pipeline.report.text.statement import Statement


def render(
    analysis: Analysis,
    statement: Statement,
    charts: Sequence[Chart],
    origin: Mapping[str, Sequence[tuple[str, str]]],
) -> str:
    verdict = analysis.verdict
    setting = verdict.setting
    held_out = setting.chosen_on
    (other,) = set(CRITERIA) - {verdict.criterion}
    overlaid = gallery.overlaid_rates(verdict)
    colours = gallery.css_variables(len(overlaid))
    roles = {colour.light: name for name, colour in colours.items()}

    def inline(chart: Chart) -> Markup:
        text = svg.inline(chart.svg, chart.name, chart.title, chart.description, roles)
        return Markup(text)  # noqa: S704  (its texts are escaped by svg.inline)

    template = templates.environment(autoescape=True).get_template("page.html.j2")
    html = template.render(
        analysis=analysis,
        verdict=verdict,
        chosen=verdict.chosen,
        statement=statement,
        rules=RULES,
        setting=setting,
        params=setting.params.report,
        counted_on=COUNTED_ON,
        looks=LOOKS,
        most_layers=gallery.MOST_LAYERS,
        examples=f"{setting.task.example}s",
        criterion=wording.criterion(verdict.criterion, held_out),
        other_criterion=wording.criterion(other, held_out),
        held_out=held_out,
        table=analysis.table.astype({"kept_epoch": float}).to_dict("records"),
        charts=charts,
        overlaid=overlaid,
        inline=inline,
        origin=origin,
        colours=colours,
        css=Markup((templates.FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704
    )
    return html.replace(" %", "\N{NO-BREAK SPACE}%")  # so that no line begins with a per cent sign
