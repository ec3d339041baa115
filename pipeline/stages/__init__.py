"""The stages of dvc.yaml, one module each, named like the stage: read, call, write."""
