"""params.yaml as frozen, validated models; this package is the only reader of that file."""

from pipeline.params.models import DataParams, HealthParams, Params, ReportParams, target_column
from pipeline.params.reading import load
from pipeline.params.watching import watch

__all__ = ["DataParams", "HealthParams", "Params", "ReportParams", "load", "target_column", "watch"]
