"""`make repro`: the study, then MLflow, then where to look; without a network, the demo."""

import sys
from pathlib import Path

from pipeline import params
from pipeline.commands.demo import demo
from pipeline.core.errors import DownloadError, ToolError
from pipeline.tools import programs, repair
from pipeline.tracking.publish import publish
from pipeline.verify import environments


def repro() -> int:
    """Run `dvc repro` and `publish`.

    Returns:
        0; or 75 if no source delivered the data set: then the demo ran in place of the study.

    Raises:
        ToolError: another stage failed; its own message stands above.
    """
    params.load()  # a mistake there is said at once
    repair.mend(Path())
    if not _made():
        print("\nThe data set could not be had (see above), so the demo runs instead.\n", file=sys.stderr)
        demo()
        print(
            "\nThe study was NOT run: no source delivered MNIST. This was the demo on the digits sample.\n"
            "With a network or MNIST_MIRROR=<folder or address>, run `make repro` again.",
            file=sys.stderr,
        )
        return DownloadError.exit_code
    published = publish()
    print("\nThe report:  report/index.html\nThe runs:    make ui\nThe numbers: dvc metrics show")
    return published


def _made() -> bool:
    """Run `dvc repro`, and note where that was in environment.json, also if only a part was done.

    Returns:
        Whether everything is there; if not, the data set could not be had.

    Raises:
        ToolError: it stopped for another reason.
    """
    with environments.kept() as ended:
        if programs.dvc("repro", variables=programs.environment(**ended.variables)) == 0:
            return True
        if ended.lacked_data():
            return False
        raise ToolError("`dvc repro` stopped: the reason stands above. What was finished is kept.")
