"""The pages that MLflow's UI opens with: a study's runs compared, and all studies of the store.

The UI keeps a shared view in a tag of the experiment and opens it by the tag's name: the only way to a page
with chosen charts. This writes such tags. Lines are not grouped by rate: the UI draws a group in a colour of
its own choice, two rates in the same one.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

from pipeline.core.measures import measure_of
from pipeline.tracking import study
from pipeline.tracking.store import Store

STUDIES = "studies"
_TAG = "mlflow.sharedViewState."
_COLUMNS = (
    "params.`learning_rate`",
    "params.`seed`",
    "metrics.`kept_val_accuracy`",
    "metrics.`kept_epoch`",
    "metrics.`kept_val_loss`",
    "metrics.`final_val_accuracy`",
    "metrics.`test_accuracy`",
    "attributes.`Models`",
)
_STUDY_COLUMNS = (
    *(f"params.`{name}`" for name in ("dataset", "network", "optimizer", "schedule", "epochs")),
    *(f"metrics.`{name}`" for name in ("learning_rate", "chosen", "chosen_low", "chosen_high")),
)
_LINE = {
    "type": "LINE",
    "xAxisScaleType": "linear",
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "lineSmoothness": 0,
    "range": {},
    "displayPoints": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
_RATE = "log10_learning_rate"  # the UI has a logarithmic axis for steps alone
_CRITERION = "kept_val_accuracy"


def rate_colours(rates: Iterable[float]) -> dict[str, str]:
    """Give each rate the colour that it has in the report."""
    names = [str(rate) for rate in sorted(rates)]
    shares = np.linspace(0, 1, len(names)) if len(names) > 1 else [0.4]
    return {
        name: to_hex(mpl.colormaps["plasma"](0.02 + 0.61 * share))
        for name, share in zip(names, shares, strict=True)
    }


def save(store: Store, study_id: str, columns: Iterable[str], *, dry_run: bool) -> bool:
    """Save the views of a study's runs, which have these measures, and of all studies; return if new."""
    experiment = store.experiment_id and store.client.get_experiment(store.experiment_id)
    views = {study_id: _runs(study_id, columns), STUDIES: _studies()}
    tags = {_TAG + key: _packed(state) for key, state in views.items()}
    fresh = tags.items() - (experiment.tags if experiment else {}).items()
    for tag in () if dry_run else fresh:
        store.client.set_experiment_tag(store.experiment_id, *tag)
    return bool(fresh)


def pages(store: Store, server: str, study_id: str) -> tuple[str, str]:
    """Give the addresses of a study's comparison and of all studies, on a server (`http://127.0.0.1:5000`).

    Without an id, the first is that of the experiment's table of runs.
    """

    def address(path: str, key: str) -> str:
        view = f"&compareRunsMode=CHART&viewStateShareKey={key}" if key else ""
        return f"{server.rstrip('/')}/#/{path}workflowType=machine_learning{view}"

    own = store.experiment_id
    viewed = store.client.search_experiments(filter_string=f"tags.`{_TAG}{STUDIES}` LIKE '%'")
    # The UI takes the view from the first of them, and forgets it where there is only one.
    listed = [own, *sorted({experiment.experiment_id for experiment in viewed} - {own})]
    several = f"compare-experiments/s?experiments={quote(json.dumps(listed, separators=(',', ':')))}&"
    alone = f"experiments/{own}/runs?"
    return address(alone, study_id), address(several if len(listed) > 1 else alone, STUDIES)


def _packed(state: dict[str, Any]) -> str:
    """Write a state as the UI does; a tag of an experiment holds 20,000 characters."""
    packed = zlib.compress(json.dumps(state, sort_keys=True).encode(), 9)
    return f"deflate;{base64.b64encode(packed).decode()}"


def _runs(study_id: str, columns: Iterable[str]) -> dict[str, Any]:
    first = ("val_loss", "val_accuracy", "loss")
    axes = {name: {"key": key, "type": "METRIC"} for name, key in (("xaxis", _RATE), ("yaxis", _CRITERION))}
    response = {"type": "SCATTER", "displayName": "Best validation accuracy over the rate", **axes}
    return _page(
        f'tags.`{study.membership(study_id)}` = "yes"',
        "metrics.`learning_rate`",
        _COLUMNS,
        {
            "Which rate?": [response, *map(_curve, first)],
            "Diagnostics": [_curve(name) for name in columns if name not in first],
        },
    )


def _studies() -> dict[str, Any]:
    over_rates = {"xAxisKey": "metric", "selectedXAxisMetricKey": "by_rate_log10", "useGlobalXaxisKey": False}
    names = [f"by_rate_validation_accuracy{end}" for end in ("", "_low", "_high")]
    response = _line(names) | over_rates | {"displayName": "Validation accuracy over the rate"}
    return _page(
        'tags.`kind` = "study"', "attributes.start_time", _STUDY_COLUMNS, {"Which study?": [response]}
    )


def _curve(column: str) -> dict[str, Any]:
    return _line([column]) | {"scaleType": "log" if measure_of(column, "").log else "linear"}


def _line(metrics: list[str]) -> dict[str, Any]:
    return {**_LINE, "metricKey": metrics[0], "selectedMetricKeys": metrics}


def _page(
    condition: str, order: str, columns: tuple[str, ...], charts: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Describe a page in the UI's own words (mlflow/server/js, ExperimentPageUIState); one section opens."""
    return {
        "searchFilter": condition,
        "orderByKey": order,
        "orderByAsc": True,
        "selectedColumns": columns,
        "columnOrder": columns,
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [
            {**chart, "uuid": f"{section} {number}", "metricSectionId": section, "deleted": False}
            | {"isGenerated": False}
            for section, listed in charts.items()
            for number, chart in enumerate(listed)
        ],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": not number, "isReordered": True}
            for number, name in enumerate(charts)
        ],
        "isAccordionReordered": True,
    }
