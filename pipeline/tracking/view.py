"""The comparison page: which runs, columns and charts MLflow's UI opens with.

The UI keeps a shared view in a tag of the experiment and opens it by the tag's name: the only way to a page
with chosen charts. This writes such a tag.
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
    "metrics.`kept_val_accuracy`",
    "metrics.`kept_epoch`",
    "metrics.`kept_val_loss`",
    "metrics.`final_val_accuracy`",
    "metrics.`test_accuracy`",
    "attributes.`Models`",
)
_SCALES = {"val_loss": "log", "val_accuracy": "linear", "loss": "log"}
_CHART = {
    "type": "LINE",
    "metricSectionId": "study-curves",
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


def save(store: Store, study_id: str, *, dry_run: bool) -> bool:
    """Save the view of a study's runs in the experiment; return whether it was not there."""
    # As the UI writes it; a tag of an experiment holds 5,000 characters.
    packed = zlib.compress(json.dumps(_state(study_id), sort_keys=True).encode(), 9)
    key, value = _TAG + study_id, f"deflate;{base64.b64encode(packed).decode()}"
    experiment = store.experiment_id and store.client.get_experiment(store.experiment_id)
    if experiment and experiment.tags.get(key) == value:
        return False
    if not dry_run:
        store.client.set_experiment_tag(store.experiment_id, key, value)
    return True


def page(server: str, experiment_id: str, study_id: str) -> str:
    """Give the page's address on a server (`http://127.0.0.1:5000`); without a study, all runs' table."""
    page = f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    return f"{page}&viewStateShareKey={study_id}&compareRunsMode=CHART" if study_id else page


def _state(study_id: str) -> dict[str, Any]:
    """Describe the page in the UI's own words (mlflow/server/js, ExperimentPageUIState)."""
    return {
        "searchFilter": f'tags.`{study.membership(study_id)}` = "yes"',
        "orderByKey": "metrics.`learning_rate`",
        "orderByAsc": True,
        "selectedColumns": _COLUMNS,
        "columnOrder": _COLUMNS,
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [
            {**_CHART, "uuid": f"study-{metric}", "metricKey": metric, "selectedMetricKeys": [metric]}
            | {"scaleType": scale}
            for metric, scale in _SCALES.items()
        ],
        "compareRunSections": [
            {"uuid": "study-curves", "name": "Learning curves", "display": True, "isReordered": False}
        ],
        "isAccordionReordered": False,
    }
