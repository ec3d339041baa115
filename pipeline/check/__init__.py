"""Stage `check`: refuse a params.yaml that cannot be worked with before anything acts on it."""
