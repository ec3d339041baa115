"""What is installed, from where, under which licence; what the code never does."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.core.run_keys import pinned_packages
from tests.conftest import ROOT

LOCKS = ("runtime", "ray", "dev")
"""From the smallest to the largest, each of which contains those before it."""
LISTED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout
TRACKED = [name for name in LISTED.split("\0") if (ROOT / name).is_file()]


def read_lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def versions(name: str) -> set[tuple[str, str]]:
    """Names and versions; a package has two versions where Pythons need different ones."""
    return set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", read_lock(name), re.MULTILINE))


# --- the lock files


def test_every_lock_is_among_those_that_are_tested() -> None:
    assert {path.name for path in (ROOT / "requirements").iterdir()} == {f"{name}.txt" for name in LOCKS}


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_or_a_hash(name: str) -> None:
    version = r"[a-z0-9.-]+==[^ ]+( ; [^\\\n]+)?"
    hashes = r"( \\\n    --hash=sha256:[0-9a-f]{64})+"

    assert re.fullmatch(rf"({version}{hashes}\n){{50,}}", read_lock(name))


def test_each_lock_contains_the_smaller_ones_at_the_same_versions() -> None:
    assert versions("runtime") <= versions("ray") <= versions("dev")


def test_what_is_asked_for_and_pinned_is_what_the_locks_hold() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = {tuple(pin.split("==")) for pin in pinned_packages()}
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]

    assert pins <= versions("runtime")
    names = {re.split(r"[<>=\[]", requirement)[0].replace(".", "-") for requirement in asked}
    assert names <= dict(versions("dev")).keys()


RECORDER = """#!/bin/sh
echo "$0 $*" >> {log}
case "$*" in
  "-m venv "*.venv) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/uv;;
  *"-r /dev/stdin") cat > {log}.stdin;;
  "pip install"*) exit {uv};;
esac
"""


def make(folder: Path, *arguments: str, uv: int = 0) -> list[str]:
    """The programs that make starts, with their arguments; Python, pip and uv only note that down."""
    log, python = folder / "log", folder / "python"
    if not (folder / "Makefile").exists():
        shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
        shutil.copytree(ROOT / "requirements", folder / "requirements")
    python.write_text(RECORDER.format(log=log, uv=uv))
    python.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={python}", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return log.read_text().replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize("uv", [0, 1], ids=["by uv", "by pip, where uv cannot"])
def test_packages_go_into_the_environment_by_their_hashes_and_nowhere_else(tmp_path: Path, uv: int) -> None:
    made, *installs = make(tmp_path, ".venv/.dev", uv=uv)

    assert made == "python -m venv --clear .venv"
    assert len(installs) == 2 + uv
    for line in installs:
        assert line.startswith((".venv/bin/python -m pip install ", ".venv/bin/uv pip install "))
        assert "--require-hashes" in line
        if "/uv " in line:
            assert "--python .venv/bin/python" in line
    first = (tmp_path / "log.stdin").read_text()
    assert re.fullmatch(r"uv==[\d.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", first)
    assert first in read_lock("dev")
    assert "-r requirements/dev.txt" in installs[-1]
    assert {path.name for path in tmp_path.iterdir()} == {
        ".venv", "Makefile", "log", "log.stdin", "python", "requirements"
    }  # fmt: skip
    assert "include-system-site-packages = false" in (Path(sys.prefix) / "pyvenv.cfg").read_text()
    before = len(installs)
    assert len(make(tmp_path, ".venv/.runtime", ".venv/.ray", uv=uv)) == 1 + before  # it holds them already


def test_an_environment_that_was_left_unfinished_is_made_again(tmp_path: Path) -> None:
    """As where Debian's package of `venv` was missing: Python is there, and no pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)

    made, *_ = make(tmp_path, ".venv/.runtime")

    assert made == "python -m venv --clear .venv"


def test_a_lock_keeps_its_versions_unless_an_upgrade_is_asked_for(tmp_path: Path) -> None:
    locks = [line for line in make(tmp_path, "lock") if "pip compile" in line]
    newer = [
        line for line in make(tmp_path, "lock", "UPGRADE=--upgrade-package keras") if "pip compile" in line
    ][len(locks) :]

    assert len(locks) == len(newer) == len(LOCKS)
    for line, upgraded in zip(locks, newer, strict=True):
        assert "--generate-hashes" in line
        assert "--upgrade" not in line
        assert "--upgrade-package keras" in upgraded


def test_nothing_calls_home() -> None:
    dvc = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
    assert {"analytics = false", "check_update = false"} <= {line.strip() for line in dvc.splitlines()}
    for path, line in (
        ("pipeline/tracking/store.py", '"DO_NOT_TRACK": "true"'),
        ("pipeline/sweep/cluster.py", '"RAY_USAGE_STATS_ENABLED": "0"'),
        ("Makefile", "export RAY_USAGE_STATS_ENABLED := 0"),
    ):
        assert line in (ROOT / path).read_text(encoding="utf-8")


def test_what_the_documents_install_has_hashes_and_the_same_dvc() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in TRACKED if name.endswith(".md")]
    installs = [line for text in texts for line in re.findall(r"^.*\bpip install .*$", text, re.MULTILINE)]

    assert installs
    assert all("--require-hashes -r " in line for line in installs)
    (asked,) = {version for text in texts for version in re.findall(r"dvc\[s3\]==([\d.]+)", text)}
    assert ("dvc", asked) in versions("runtime")


# --- licences

FREE = """
0BSD; 3-Clause BSD License; Apache 2.0; Apache License 2.0; Apache Software License; Apache-2.0; BSD;
BSD License; BSD-2-Clause; BSD-3-Clause; CC0-1.0; EPL-2.0; ISC License (ISCL); MIT; MIT License; MIT-0;
MIT-CMU; MPL-2.0; Mozilla Public License 2.0 (MPL 2.0); PSF-2.0; Python Software Foundation License;
Unlicense; Zlib; Zope Public License
"""
"""Licences that let anybody use a package, as packages write them."""
BY_NAME = {
    "grandalf": "GNU General Public License v2 (GPLv2)",  # or the Eclipse licence, its own metadata say
    "huey": "UNKNOWN",  # MIT: read in its own files, as the two below
    "namex": "UNKNOWN",  # Apache 2.0
    "psycopg2-binary": "GNU Library or Lesser General Public License (LGPL)",
    "pygit2": "GPLv2 with linking exception",
    "skops": "UNKNOWN",  # MIT
}
"""Packages that are used as they are, under another licence or one that their metadata do not name."""


def test_every_package_has_a_licence_that_lets_anybody_use_it() -> None:
    command = [sys.executable, "-m", "piplicenses", "--with-system", "--format", "json"]
    listed = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    licences = {package["Name"]: package["License"] for package in listed}
    free = {licence.strip("()") for licence in re.split(r";\s+", FREE.strip())}

    def is_free(licence: str) -> bool:
        choices = (re.split(r" AND |; ", choice) for choice in licence.split(" OR "))
        return any({part.strip("()") for part in choice} <= free for choice in choices)

    assert len(licences) > 200
    assert {name: licence for name, licence in licences.items() if not is_free(licence)} == BY_NAME


# --- what the code never does

UNSAFE = re.compile(
    r"allow_pickle=True|safe_mode=False|typ=.unsafe|(?<![.\w])compile\("
    r"|(import|from) (cloudpickle|dill|joblib|pickle)\b"
)
"""Besides what ruff refuses (rules S, banned-api): eval, shells, pickles, certificates that nobody checks."""


def matches(pattern: re.Pattern[str], names: Iterable[str]) -> list[str]:
    return [
        f"{name}:{number}: {line}"
        for name in names
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_pickle_and_no_code_from_data() -> None:
    own_code = "pipeline/core/network_files.py"  # runs the file that params.yaml names, which git tracks
    programs = [n for n in TRACKED if n.startswith(("pipeline/", "benchmarks/")) and n.endswith(".py")]
    assert not matches(UNSAFE, (name for name in programs if name != own_code))


def test_nothing_is_told_to_listen_beyond_this_machine() -> None:
    """docs/compose.yaml is meant for others; tests/test_compose.py holds it to logins."""
    programs = [name for name in TRACKED if Path(name).suffix in {".py", ".yaml", ".yml", ".toml", ""}]

    assert not matches(
        re.compile(r"0\.0\.0\.0"), (n for n in programs if not n.startswith(("tests/", "docs/")))
    )


def test_no_tracked_file_is_a_program_or_a_pickle_in_disguise() -> None:
    for name in TRACKED:
        content = (ROOT / name).read_bytes()
        assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), name  # pickles
        assert not content.startswith((b"\x7fELF", b"MZ\x90\x00")), name
        assert len(content) < 2_000_000, name
