"""Command `verify`: whether the committed dvc.lock follows from the committed code and data."""
