"""The sweep's parts: its books against DVC's, its display and options; `hard/test_sweep.py` runs it whole."""

import contextlib
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.core.errors import ToolError
from pipeline.sweep import cluster, driver, tasks, worker
from pipeline.sweep import command as sweeping
from pipeline.sweep.display import Display
from pipeline.sweep.stages import Books, Plan
from pipeline.sweep.tasks import Engine, Options, Stopped
from pipeline.sweep.worker import Run, Study
from pipeline.verify import environments as origins
from tests.conftest import ROOT, run_dvc, run_pipeline

# DVC's own, about a library of its own.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

FILES = {"history.csv": b"epoch\n1\n", "metrics.json": b"{}\n", "predictions.npy": b"p", "model.keras": b"m"}


# ---- the books, on a repository of their own


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four train stages that nobody trains: outputs are made up."""
    place = tmp_path_factory.mktemp("books")
    definition = {
        "stages": {
            "data": {"cmd": "mkdir data && echo images > data/images", "outs": ["data"]},
            "train": {
                "matrix": {"learning_rate": "${rates}", "seed": [0, 1]},
                "cmd": "python -m pipeline train ${item} data runs",
                "params": ["epochs"],
                "deps": ["data", "code.py"],
                "outs": ["runs/lr-${item.learning_rate}/seed-${item.seed}"],
            },
            "report": {"cmd": "ls runs/*/* > report", "deps": ["runs"], "outs": ["report"]},
        }
    }
    with (place / "dvc.yaml").open("w") as stream:
        YAML().dump(definition, stream)
    (place / "params.yaml").write_text("epochs: 5\nrates: [0.1, 1e-05]\n")
    (place / "code.py").write_text("first\n")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=place, check=True, capture_output=True)
    with contextlib.chdir(place), Books() as books:
        books.reproduce_before()
        record(books)
        books.reproduce_after()
    return place


@pytest.fixture
def books_at(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = shutil.copytree(kept, tmp_path / "books")
    monkeypatch.chdir(place)
    return place


def record(books: Books) -> int:
    """Write and record outputs that tell which run they are of and what code it had."""
    stale = books.plan().stale
    for entry in stale:
        unique = (entry.name + Path("code.py").read_text()).encode()
        driver.write(entry.folder, "prepared", FILES | {"model.keras": unique})
        books.record([entry])
    books.write_lock()
    return len(stale)


def counts(_: Path) -> tuple[int, int, int]:
    with Books() as books:
        plan = books.plan()
    return len(plan.current), len(plan.restorable), len(plan.stale)


def test_recorded_runs_are_up_to_date_for_the_books_and_for_dvc(books_at: Path) -> None:
    assert counts(books_at) == (4, 0, 0)
    assert "up to date" in run_dvc(books_at, "status").stdout
    assert (books_at / "report").read_text().count("model.keras") == 4


def test_dvc_writes_the_same_lock_for_the_same_outputs(books_at: Path) -> None:
    ours = (books_at / "dvc.lock").read_bytes()
    (books_at / "dvc.lock").unlink()
    assert run_dvc(books_at, "commit", "--force").returncode == 0
    theirs = YAML(typ="safe").load((books_at / "dvc.lock").read_text())
    assert YAML(typ="safe").load(ours.decode()) == theirs


def test_a_run_whose_outputs_went_or_changed_is_restored(books_at: Path) -> None:
    shutil.rmtree("runs/lr-0.1/seed-0")
    Path("runs/lr-1e-05/seed-1/model.keras").write_text("tampered with")
    assert counts(books_at) == (2, 2, 0)
    with Books() as books:
        books.restore(books.plan().restorable)
        books.write_lock()
    assert counts(books_at) == (4, 0, 0)
    assert Path("runs/lr-0.1/seed-0/model.keras").read_text().startswith("learning rate 0.1, seed 0")


@pytest.mark.parametrize(("file", "content"), [("code.py", "second\n"), ("params.yaml", "epochs: 6\n")])
def test_a_change_makes_every_run_stale_and_its_way_back_restores(
    books_at: Path, file: str, content: str
) -> None:
    before = Path(file).read_text()
    # Outputs that DVC has in its cache, but of other deps, must not pass for those of the new ones.
    Path(file).write_text(content if file == "code.py" else before.replace("epochs: 5\n", content))
    assert counts(books_at) == (0, 0, 4)
    with Books() as books:
        assert record(books) == 4
    Path(file).write_text(before)
    assert counts(books_at) == (0, 4, 0)


def test_one_more_rate_leaves_the_others_alone(books_at: Path) -> None:
    Path("params.yaml").write_text("epochs: 5\nrates: [0.1, 1e-05, 0.3]\n")
    assert counts(books_at) == (4, 0, 2)


def test_outputs_recorded_and_not_yet_in_the_lock_survive_a_killed_sweep(books_at: Path) -> None:
    Path("code.py").write_text("second\n")
    lock = Path("dvc.lock").read_bytes()
    program = (
        "import os; from tests.sweep.test_sweep import *; books = Books(); books.reproduce_before();"
        "books.write_lock = lambda: os.kill(os.getpid(), 9); record(books)"
    )
    killed = subprocess.run([sys.executable, "-c", program], env=python_path(), check=False)
    assert killed.returncode == -9
    assert Path("dvc.lock").read_bytes() == lock
    assert counts(books_at) == (0, 4, 0)


def test_books_open_where_a_killed_dvc_left_its_note_half_written(books_at: Path) -> None:
    (books_at / ".dvc/tmp/rwlock").write_text('{"write": {"data": {"pid": 1, ')
    with Books() as books, books.reserving(Path("runs")):
        assert len(books.plan().current) == 4


def test_dvc_keeps_away_from_reserved_runs_and_the_sweep_from_dvc(books_at: Path) -> None:
    with Books() as books, books.reserving(Path("runs")):
        done = run_dvc(books_at, "repro", "--force", "--single-item", "train@0.1-0")
        assert done.returncode != 0
        assert "is busy, it is being blocked by" in done.stderr
        assert run_dvc(books_at, "params", "diff").returncode == 0  # all else goes on
        program = (
            "from tests.sweep.test_sweep import *\n"
            "with Books() as books, books.reserving(Path('runs')): print('in')"
        )
        other = subprocess.run(
            [sys.executable, "-c", program], env=python_path(), capture_output=True, text=True, check=False
        )
        assert "in\n" not in other.stdout
        assert "expected nobody else at work on these runs" in other.stderr
    with Books() as books, books.reserving(Path("runs")):
        pass


def test_where_a_run_was_made_is_kept_when_the_sweep_breaks_off(
    books_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (books_at / "code.py").write_text("second\n")
    elsewhere = {"processor": "of the cluster"}

    def break_off(
        _study: object, _inputs: object, books: Books, plan: Plan, *_: object, trained: driver.Trained
    ) -> None:
        entry = plan.stale[0]
        driver.write(entry.folder, "prepared", FILES | {"model.keras": b"new"})
        books.record([entry])
        trained.makers[entry.folder.as_posix()] = elsewhere
        raise ConnectionError("Ray left")

    monkeypatch.setattr(sweeping.params, "load", lambda: SimpleNamespace(values=dict))
    monkeypatch.setattr(sweeping.run_keys, "inputs", lambda _: {})
    monkeypatch.setattr(sweeping.cluster, "require", lambda: None)
    monkeypatch.setattr(sweeping.driver, "train", break_off)

    with pytest.raises(ConnectionError):
        sweeping.sweep()

    known = origins.read(books_at / origins.FILE)
    assert list(known["outputs"]) == ["runs/lr-0.1/seed-0"]  # of all others nobody knows
    assert list(known["environments"].values()) == [elsewhere]


@pytest.mark.parametrize("cmd", ["nohup {}", "{} --faster", "{} 'unclosed"])
def test_a_stage_that_does_something_else_is_refused(books_at: Path, cmd: str) -> None:
    text = (books_at / "dvc.yaml").read_text()
    original = "python -m pipeline train ${item} data runs"
    (books_at / "dvc.yaml").write_text(text.replace(original, cmd.format(original)))
    with Books() as books, pytest.raises(ToolError, match=r"expected the command .* use `dvc repro`"):
        books.plan()


def python_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


# ---- parts


def test_a_run_s_folder_appears_whole_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/lr-0.1/seed-0")
    folder.mkdir(parents=True)
    (folder / "old").touch()
    driver.write(folder, "key", FILES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["seed-0"]


def test_the_line_tells_done_running_failed_left_and_best(capsys: pytest.CaptureFixture[str]) -> None:
    def metrics(accuracy: float | None, rate: float) -> dict[str, object]:
        return {"best": {"val_accuracy": accuracy}, "learning_rate": rate, "seed": 0}

    with Display(4, 10) as display:
        assert display.line() == "0/4 runs done, 0 running, 0 failed"
        for run in range(4):
            display.started(run)
        display.epoch(0, 5)
        display.finished(1, metrics(0.9, 0.1))
        display.finished(2, None)
        display.finished(3, metrics(0.95, 0.01))
        line = display.line()
        assert line.startswith("2/4 runs done, 1 running, 1 failed, ")
        assert line.endswith(" left, best val_accuracy 0.9500 (rate 0.01, seed 0)")
        display.started(0)  # its worker died: it begins again
        display.finished(0, metrics(None, 1.0))
        assert display.line().startswith(
            "3/4 runs done, 0 running, 1 failed, 1 begun again after a worker died, 0 s left"
        )
    assert "sweep: 3/4 runs done" in capsys.readouterr().err


def test_without_ray_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"expected Ray .* `make sweep` installs it"):
        cluster.require()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cpus-per-run", "0"], "expected a number above 0, got 0"),
        (["--cpus-per-run", "x"], "expected a number above 0, got x"),
        (["--gpus-per-run", "x"], "expected a share from 0 to 1, or a whole number, got x"),
        (["--gpus-per-run", "inf"], "expected a share from 0 to 1, or a whole number, got inf"),
        (["--max-concurrent", "1.5"], "expected a whole number of at least 1, got 1.5"),
        (["--gpus-per-run", "1.5"], "expected a share from 0 to 1, or a whole number, got 1.5"),
        (["--max-concurrent", "0"], "expected a whole number of at least 1, got 0"),
    ],
)
def test_options_that_cannot_be_are_refused(arguments: list[str], said: str) -> None:
    done = run_pipeline(ROOT, "sweep", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


class Machines:
    """As much of Ray as says which machines there are."""

    def __init__(self, *sizes: tuple[float, float]) -> None:
        self._sizes = sizes

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in self._sizes]


@pytest.mark.parametrize(
    ("cpus", "gpus", "fits"), [(4, 0, True), (5, 0, False), (1, 0.5, True), (4, 1, False), (0.5, 2, False)]
)
def test_a_run_needs_one_machine_that_has_all_it_wants(cpus: float, gpus: float, fits: bool) -> None:
    machines = Engine(Machines((4, 0), (2, 1)), "", local=True)
    assert machines.fits(Options(None, cpus, gpus)) == fits


def test_what_this_machine_can_never_take_is_refused_and_a_cluster_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = params.load(ROOT / "params.yaml")
    wanted = Options(None, None, 1.0)
    with pytest.raises(ToolError, match=r"1 GPU\(s\) for a run: expected at most the 8 cores and 0 GPU\(s\)"):
        driver.sized(Engine(Machines((8, 0)), "", local=True), study, wanted)
    driver.sized(Engine(Machines((8, 0)), "", local=False), study, wanted)
    assert "no machine of the cluster has" in capsys.readouterr().err


def test_a_killed_writer_leaves_the_old_lock_or_the_new_one(
    books_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("code.py").write_text("second\n")
    before = Path("dvc.lock").read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with Books() as books:
        (entry,) = books.plan().stale[:1]
        driver.write(entry.folder, "prepared", FILES)
        books.record([entry])
        monkeypatch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            books.write_lock()
    assert Path("dvc.lock").read_bytes() == before
    assert not list(books_at.glob(".dvc-*"))


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 2), (3, 2), (16, 9), (64, 33)])
def test_on_this_machine_one_run_more_goes_on_than_its_cores_hold(cores: int, at_once: int) -> None:
    study = params.load(ROOT / "params.yaml")
    assert study.train.threads == 2
    chosen = driver.sized(Engine(Machines((cores, 0)), "", local=True), study, Options())
    assert chosen.cpus_per_run
    assert cores // chosen.cpus_per_run == at_once
    elsewhere = driver.sized(Engine(Machines((cores, 0)), "", local=False), study, Options())
    assert elsewhere.cpus_per_run == 2


class Slow(Machines):
    """As much of Ray as runs tasks: two have begun and need a while to save once they are cancelled."""

    def __init__(self, saving: float) -> None:
        super().__init__((2, 0))
        self._saving, self._begun = saving, list[object]()
        self._ends: dict[object, float] = {}

    def remote(self, *actor: object, **_: object) -> Any:
        made = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *_: self._begin()))
        return made if actor else lambda _: made

    def _begin(self) -> object:
        self._begun.append(object())
        return self._begun[-1]

    def put(self, value: object) -> object:
        return value

    def cancel(self, task: object, *, force: bool) -> None:
        assert not force
        saves = task in self._begun[1:3]  # the first is the actor
        self._ends[task] = time.monotonic() + (self._saving if saves else 0)

    def wait(
        self, tasks: list[object], num_returns: int, timeout: float
    ) -> tuple[list[object], list[object]]:
        until = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            ready = [task for task in tasks if self._ends.get(task, math.inf) <= now][:num_returns]
            if len(ready) == num_returns or now >= until:
                return ready, []
            time.sleep(0.01)

    def get(self, _: object) -> None:
        """A task that was stopped."""

    exceptions = SimpleNamespace(
        TaskCancelledError=InterruptedError, RayTaskError=ArithmeticError, RayError=RuntimeError
    )


@pytest.mark.parametrize(("saving", "seconds"), [(1.0, 1.0), (60.0, 2.0)], ids=["in time", "too slow"])
def test_interrupted_runs_have_seconds_to_save_however_many_wait(
    monkeypatch: pytest.MonkeyPatch, saving: float, seconds: float
) -> None:
    monkeypatch.setattr(tasks, "_GRACE", 2.0)
    monkeypatch.setattr(Engine, "_messages", lambda *_: [])
    asked: list[float] = []

    def stop() -> bool:  # not at the first look: all are handed over by then
        asked.append(time.monotonic())
        return len(asked) > 1

    runs = [Run(number, 0.1, number, str(number)) for number in range(200)]
    study = cast("Study", None)
    events = list(Engine(Slow(saving), "", local=True).train(study, {}, runs, Options(), stop, lambda: False))

    assert sorted(run.seed for run, _ in events) == list(range(200))  # each is told once
    assert {outcome for _, outcome in events} == {Stopped()}
    assert seconds <= time.monotonic() - asked[1] < seconds + 1.5


def test_a_machine_without_the_repository_has_a_folder_of_this_user_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    study = Study(params.load(ROOT / "params.yaml"), {"files": {}}, str(tmp_path / "elsewhere"), None, 0.0)
    own = worker._root(study)
    assert own.parent == tmp_path
    assert own.stat().st_mode & 0o777 == 0o700
    assert worker._root(study) == own  # and the next run's

    own.chmod(0o777)
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        worker._root(study)
    own.rmdir()
    (tmp_path / "planted").mkdir(mode=0o700)
    own.symlink_to(tmp_path / "planted")
    with pytest.raises(ToolError, match="expected a folder that is this user's alone"):
        worker._root(study)
