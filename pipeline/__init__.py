"""A learning-rate study that can be defended: DVC runs it, MLflow shows it, the report gives a verdict."""
