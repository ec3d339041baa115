"""Command `refine`: train, look, take the next step, until the verdict is settled or the budget is spent."""

import itertools
from pathlib import Path

from pipeline import params
from pipeline.core import files, network_files, run_keys
from pipeline.core import runs as run_folders
from pipeline.core.errors import ToolError
from pipeline.params import Params, reading
from pipeline.refine.steps import next_step
from pipeline.report.stage import examine
from pipeline.report.text import wording
from pipeline.report.text.statement import compose
from pipeline.tools import programs, repair

_PARAMS, _SCALED, _RUNS = Path("params.yaml"), Path("data/scaled"), Path("runs")


def refine(budget: int, *, sweep: bool = False, dry_run: bool = False) -> None:
    """Let the study grow as its report advises; after each step it is an ordinary study of params.yaml.

    All that is known of earlier steps is in params.yaml and the folder of runs, so the same command goes on
    after an interruption.

    Args:
        budget: how many runs may have been trained in the end, those that are there already among them.
        sweep: train with `sweep` instead of `dvc repro`.
        dry_run: say what the next step would be, and change nothing.

    Raises:
        ParamsError: params.yaml cannot be worked with, or names no file with a network.
        ToolError: a stage failed; its own message stands above.
    """
    before = study = params.load(_PARAMS)
    network_files.read(study.network.file)
    if not dry_run:  # without the data nobody knows which runs are those of this study
        _check(repair.dvc("repro", "scale"))
    obsolete, dropped = 0, tuple[float, ...]()
    while True:
        if study.train.epochs != before.train.epochs:
            obsolete += len(_trained(before))
        trained = _trained(study)
        missing = {*itertools.product(study.train.learning_rates, study.train.seeds)} - trained
        cost = obsolete + len(trained) + len(missing)
        _say(f"{wording.counted(len(missing), 'run')} to train, {cost} in all: {_describe(study)}")
        if missing and cost > budget:
            return _say(f"That would exceed the budget of {wording.counted(budget, 'run')}: it is not done.")
        if dry_run and (missing or study != before):
            return _say("A dry run: nothing was changed.")
        if study != before:
            old, new = before.values()["train"], study.values()["train"]
            reading.override(_PARAMS, {f"train.{key}": new[key] for key in new if new[key] != old[key]})
        if dropped:
            _say(
                f"No more runs for {wording.rates(dropped)}, worse as the rates beside them are: they leave "
                "params.yaml and the report; their runs stay."
            )
        if not dry_run:
            _check(programs.pipeline("sweep") if sweep else repair.dvc("repro"))
        analysis, _ = examine(_SCALED, _RUNS, study)
        step = next_step(analysis.verdict, analysis.advice)
        statement = compose(analysis._replace(advice=step.advice) if step else analysis)
        for sentence in (statement.headline, *statement.advice):
            _say(sentence)
        if not step:
            return _say(
                f"Nothing is left to do after {wording.counted(cost, 'run')}: report/index.html says why."
            )
        settings = {"learning_rates": step.learning_rates, "seeds": step.seeds, "epochs": step.epochs}
        before, dropped = study, step.dropped
        study = study.model_copy(update={"train": study.train.model_copy(update=settings)})


def _trained(study: Params) -> set[tuple[float, int]]:
    """List the runs on disk, of any rate and seed, that are as the study would train them."""
    if not _SCALED.is_dir():
        return set()
    inputs = run_keys.inputs(study.values())
    metrics = [files.read_json(path) for path in _RUNS.glob(f"*/*/{run_folders.METRICS}")]
    runs = {(run["learning_rate"], run["seed"]): run["run_key"] for run in metrics}
    return {run for run, key in runs.items() if key == run_keys.key_of(inputs, *run)}


def _describe(study: Params) -> str:
    rates, seeds = study.train.learning_rates, study.train.seeds
    return (
        f"{wording.counted(len(rates), 'rate')} ({wording.rates(rates)}) × "
        f"{wording.counted(len(seeds), 'seed')}, {wording.counted(study.train.epochs, 'epoch')}"
    )


def _check(code: int) -> None:
    if code:
        raise ToolError(
            "The study stopped: the reason stands above. Once it is removed, the same command goes on."
        )


def _say(text: str) -> None:
    print(f"refine: {text}", flush=True)
