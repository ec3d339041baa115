"""What the workers tell, passed on: to the display, and to MLflow where they do not do so themselves."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core import files
from pipeline.core import runs as run_folders
from pipeline.sweep.display import Display
from pipeline.sweep.live import PATIENCE, Teller
from pipeline.sweep.worker import Run


def warn(trouble: str) -> None:
    print(
        f"warning: MLflow did not get everything ({trouble}). The outputs are complete; "
        "`python -m pipeline publish` delivers what is missing.",
        file=sys.stderr,
    )


class Follower:
    """Passes on what the workers tell: to the display, and to MLflow where they do not do so themselves."""

    def __init__(self, runs: Sequence[Run], telling: Teller | None, display: Display) -> None:
        self._runs, self._telling, self._display = runs, telling, display
        self._begun, self._over = set[int](), set[int]()
        self._finished: set[str] = set()
        self._delivered: set[str] = set()
        self._trouble = ""
        self._heard = time.monotonic()

    def take(self, message: Mapping[str, Any]) -> None:
        self._heard = time.monotonic()
        match message:
            case {"run": number} if number in self._over:  # late: its outcome overtook it
                pass
            case {"run": number, "started": _}:
                self._begun.add(number)
                self._display.started(number)
                self._tell(number, {})
            case {"run": number, "epochs": rows}:
                for row in rows:
                    self._tell(number, row)
                self._display.epoch(number, int(rows[-1]["epoch"]))
            case {"mlflow": key, "trouble": None}:
                self._delivered.add(key)
            case {"mlflow": _, "trouble": trouble}:
                self._trouble = self._trouble or trouble

    def finished(self, run: Run, folder: Path) -> None:
        self._over.add(run.number)
        self._finished.add(run.run_key)
        self._tell(run.number, {"finished": str(folder.parents[1].resolve())})
        self._display.finished(run.number, files.read_json(folder / run_folders.METRICS))

    def ended(self, run: Run, status: str) -> None:
        self._over.add(run.number)
        if run.number in self._begun:  # MLflow has not heard of the others
            self._tell(run.number, {"ended": status})
        if status == "FAILED":
            self._display.finished(run.number, None)
        else:
            self._display.stopped(run.number)

    def is_waiting(self) -> bool:
        """Whether workers have not delivered all to MLflow yet, and still may."""
        return not self._telling and bool(self._missing()) and time.monotonic() - self._heard < PATIENCE

    def close(self) -> None:
        if not self._telling and (self._trouble or self._missing()):
            warn(self._trouble or f"{len(self._missing())} runs were not delivered in time")

    def _missing(self) -> set[str]:
        return self._finished - self._delivered

    def _tell(self, number: int, message: Mapping[str, Any]) -> None:
        if self._telling:
            run = self._runs[number]
            self._telling.tell(run.learning_rate, run.seed, run.run_key, message)
