"""What `python -m pipeline` offers beside the stages."""
