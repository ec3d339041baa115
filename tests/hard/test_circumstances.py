"""Four at once, a clock that was set back, a path with spaces and letters of other languages."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import AUTHOR, listening
from tests.hard.conftest import PATIENCE, forget, locked, outputs, run_dvc, run_pipeline, start

pytestmark = pytest.mark.hard


def test_nothing_listens_while_dvc_repro_works(fresh: Path) -> None:
    with start(fresh, "dvc", "repro") as process:
        seen, looks = set(), 0
        while process.poll() is None:
            seen |= listening(process.pid)
            looks += 1
            time.sleep(0.2)
        said = process.communicate()[0]
    assert process.returncode == 0, said
    assert looks > 5
    assert seen == set()


def test_four_repros_at_once_end_in_one_study(finished: Path, fresh: Path) -> None:
    processes = [start(fresh, "dvc", "repro") for _ in range(4)]
    ended = [(process.communicate(timeout=PATIENCE)[0], process.returncode) for process in processes]

    assert [code for _, code in ended if code == 0], ended  # one of them does the work
    for said, code in ended:
        assert "Traceback" not in said
        if code != 0:  # the others say why they do not
            assert "lock" in said or "is busy" in said or "Unable to acquire" in said, said
    done = run_dvc(fresh, "repro")
    assert done.returncode == 0, done.stderr
    assert outputs(fresh) == locked(fresh) == locked(finished)
    assert "up to date" in run_dvc(fresh, "status").stdout


def test_a_clock_that_was_set_back_changes_nothing(finished: Path, fresh: Path) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs faketime (Debian: apt-get install faketime)")

    def in_the_past(*command: str) -> None:
        done = subprocess.run(
            [faketime, "-f", "-730d", sys.executable, "-m", *command],
            cwd=fresh,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    assert run_dvc(fresh, "repro", "train@0.01-0").returncode == 0
    in_the_past("dvc", "repro")  # part of it made in what is now the future
    in_the_past("pipeline", "publish")
    assert outputs(fresh) == locked(fresh) == locked(finished)
    assert "up to date" in run_dvc(fresh, "status").stdout  # and back in the present
    (fresh / "params.yaml").touch()
    done = run_pipeline(fresh, "publish")
    assert done.returncode == 0, done.stderr
    assert "publish: 0 changed" in done.stdout


def test_a_path_with_spaces_and_other_letters_works_from_end_to_end(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Größe und «Lernrate» — 学習率 $HOME 'x' (1)"
    shutil.copytree(finished, folder, symlinks=True)
    forget(folder)
    monkeypatch.setenv("TMPDIR", str(folder.parent))

    done = run_dvc(folder, "repro")
    assert done.returncode == 0, done.stderr
    assert outputs(folder) == locked(folder) == locked(finished)
    published = run_pipeline(folder, "publish")
    assert published.returncode == 0, published.stderr
    assert run_pipeline(folder, "publish").stdout.count("publish: 0 changed") == 1
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run(["git", *AUTHOR, "commit", "-qm", "here", "--allow-empty"], cwd=folder, check=True)
    verified = run_pipeline(folder, "verify", "--runs", "1")
    assert verified.returncode == 0, verified.stderr
    assert "verify: everything compared is equal" in verified.stdout
