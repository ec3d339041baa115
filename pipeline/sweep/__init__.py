"""Command `sweep`: the runs of `dvc repro`, many at a time, on this machine or on a Ray cluster."""
