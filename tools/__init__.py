"""Upkeep of the repository itself; no stage and no command of the pipeline needs it."""
