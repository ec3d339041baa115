"""MLflow as a view of the outputs; this package is the only importer of mlflow.

An `Entry` is all that MLflow should say about one key, made from a folder of outputs. `deliver` makes MLflow
agree with an entry, whatever is there already. The process beside a training (`follow`) and the command
`publish` both end in it, so that it does not matter which of them comes first, how often, or how far
another one came.
"""
