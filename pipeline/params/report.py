"""Section `report` of params.yaml: the thresholds of the verdict."""

from pipeline.params.section import Section


class ReportParams(Section):
    """Nothing to set yet: the verdict at this stage is the best mean validation accuracy."""
