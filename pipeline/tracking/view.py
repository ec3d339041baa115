"""The comparison page: which runs, columns and charts MLflow's UI opens with.

The UI keeps a view that somebody shares in a tag of the experiment and opens it by the tag's name; this
writes such a tag. It is the only way to a page with chosen charts, and an address short enough to pass on.
"""

import base64
import json
import zlib
from typing import Any

from pipeline.tracking import study
from pipeline.tracking.store import Store

_TAG = "mlflow.sharedViewState."
_COLUMNS = (
    "metrics.`learning_rate`",
    "params.`seed`",
    "metrics.`best_val_accuracy`",
    "metrics.`best_val_accuracy_epoch`",
    "metrics.`final_val_accuracy`",
    "metrics.`final_val_loss`",
    "metrics.`test_accuracy`",
    "attributes.`Models`",
)
_SCALES = {"val_loss": "log", "val_accuracy": "linear", "loss": "log"}


def share(store: Store, study_id: str, *, dry_run: bool) -> bool:
    """Have the view of a study's runs in the experiment.

    Returns:
        Whether it was not there.
    """
    key, value = _TAG + study_id, _compressed(_state(study_id))
    if store.client.get_experiment(store.experiment_id).tags.get(key) == value:
        return False
    if not dry_run:
        store.client.set_experiment_tag(store.experiment_id, key, value)
    return True


def address(server: str, store: Store, study_id: str | None) -> str:
    """The page's address on a server, `http://127.0.0.1:5000` for one; without a study, all runs' table."""
    page = f"{server.rstrip('/')}/#/experiments/{store.experiment_id}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={study_id}&compareRunsMode=CHART" if study_id else page


def _state(study_id: str) -> dict[str, Any]:
    """The page's state in the UI's own words (mlflow/server/js, ExperimentPageUIState)."""
    charts = [
        {
            "uuid": f"study-{metric}",
            "type": "LINE",
            "metricSectionId": "study-curves",
            "metricKey": metric,
            "selectedMetricKeys": [metric],
            "scaleType": scale,
            "xAxisScaleType": "linear",
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "lineSmoothness": 0,
            "range": {},
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
            "deleted": False,
            "isGenerated": False,
        }
        for metric, scale in _SCALES.items()
    ]
    sections = [{"uuid": "study-curves", "name": "Learning curves", "display": True, "isReordered": False}]
    return {
        "searchFilter": f'tags.`{study.membership(study_id)}` = "yes"',
        "orderByKey": "metrics.`learning_rate`",
        "orderByAsc": True,
        "selectedColumns": list(_COLUMNS),
        "columnOrder": list(_COLUMNS),
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": False,
    }


def _compressed(state: dict[str, Any]) -> str:
    """As the UI writes it; a tag of an experiment holds 5,000 characters."""
    return (
        "deflate;" + base64.b64encode(zlib.compress(json.dumps(state, sort_keys=True).encode(), 9)).decode()
    )
