"""`make repro`: the study, then MLflow, then where to look; without a network, the demo."""

import sys

from pipeline import params
from pipeline.commands.demo import demo
from pipeline.core import network_files
from pipeline.core.datasets import DATASETS
from pipeline.core.errors import DownloadError, ToolError
from pipeline.download import sources
from pipeline.tools import exit_codes, programs, repair
from pipeline.tracking.publish import publish


def repro() -> int:
    """Run `dvc repro` and `publish`.

    Returns:
        0; or 75 if no source delivered the data set: then the demo ran in place of the study.

    Raises:
        ParamsError: params.yaml cannot be worked with, or names no file with a network.
        ToolError: another stage failed; its own message stands above.
    """
    study = params.load()  # a mistake there, or no such file, is said at once
    network_files.read(study.network.file)
    dataset = study.data.dataset
    with exit_codes.collected() as codes:
        failed = repair.dvc("repro", variables=programs.environment(**codes.variables)) != 0
        if failed and not codes.lacked_data():
            raise ToolError("`dvc repro` stopped: the reason stands above. What was finished is kept.")
    if failed:
        print("\nNo source delivered the data set (see above), so the demo runs instead.\n", file=sys.stderr)
        demo()
        print(
            f"\nThe study was NOT run: no source delivered {DATASETS[dataset].title}. "
            "This was the demo on the digits sample.\n"
            f"With a network or {sources.variable(dataset)}=<folder or address>, run `make repro` again.",
            file=sys.stderr,
        )
        return DownloadError.exit_code
    published = publish()
    print("\nThe report:  report/index.html\nThe runs:    make ui\nThe numbers: dvc metrics show")
    return published
