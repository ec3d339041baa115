"""MLflow as a view of the outputs; this package is the only importer of mlflow.

A `Record` is all that MLflow should show of one run, made from a folder of outputs. `sync` makes it so,
whatever MLflow holds already. The process that follows the trainings' live logs (`follow`) and the command
`publish` both end in it, so it does not matter which of them comes first, how often, or how far another came.
"""
