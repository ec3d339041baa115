"""Command `sweep`: the runs of `dvc repro`, many at a time, on this machine or on a Ray cluster.

command   the order of things: what is stale, train it, record it, the rest
books     DVC: what is stale, what its run cache can restore, how a finished run is recorded
cluster   Ray's cluster: started here or joined; the only importer of Ray
engine    the runs as Ray's tasks, and what they report
driving   sends the runs out, writes and records what comes back
worker    what happens inside a task; knows no Ray
following what the workers tell, passed on to the display and to MLflow
telling   MLflow while the runs go on
display   the one line that a person sees
"""
