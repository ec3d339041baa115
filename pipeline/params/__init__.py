"""params.yaml as frozen, validated models; this package is the only reader of that file."""

from pipeline.params.models import HealthParams, Params, ReportParams, target_column
from pipeline.params.reading import load

__all__ = ["HealthParams", "Params", "ReportParams", "load", "target_column"]
