"""What is installed, from where, under which licence; what the code never does."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools import advisories, supply_chain
from tools.advisories import Package
from tools.supply_chain import LOCKS

SOURCES = sorted(
    path for folder in ("pipeline", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py")
)
TRACKED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\0")[:-1]


def versions(group: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in supply_chain.read_lock((ROOT / LOCKS[group]).read_text(encoding="utf-8")):
        found.setdefault(name, set()).add(version)
    return found


# --- the lock files


def test_every_lock_is_among_those_that_are_listed_and_audited() -> None:
    assert sorted(LOCKS.values()) == sorted(path.name for path in ROOT.glob("requirements*.lock"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"requirements[\w-]*\.lock", makefile)) == set(LOCKS.values())


@pytest.mark.parametrize("group", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_or_a_hash(group: str) -> None:
    lines = (ROOT / LOCKS[group]).read_text(encoding="utf-8").splitlines()
    requirements = [number for number, line in enumerate(lines) if not line.startswith((" ", "#"))]

    assert len(requirements) > 50 or [lines[number][:4] for number in requirements] == ["uv=="]
    for line in lines:
        assert re.fullmatch(
            r"[a-z0-9.-]+(\[[a-z,-]+\])?==[^ ]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line
        ), line
    assert all("--hash" in lines[number + 1] for number in requirements)


def test_each_lock_contains_the_smaller_ones_at_the_same_versions() -> None:
    runtime, ray, dev = (versions(group) for group in ("runtime", "ray", "dev"))

    assert runtime.items() <= ray.items()
    assert ray.items() <= dev.items()


def test_what_pyproject_pins_is_what_the_locks_hold() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = dict(pin.split("==") for pin in project["project"]["optional-dependencies"]["train"])
    assert all(versions("runtime")[name] == {version} for name, version in pins.items())
    asked = {
        re.split(r"[<>=\[]", one)[0].lower().replace("_", "-").replace(".", "-")
        for one in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    }
    assert asked <= set(versions("dev"))


RECORDER = """#!/bin/sh
echo "$0 $*" >> {log}
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/uv;;
  "pip install"*) exit {uv};;
esac
"""


def make(folder: Path, *arguments: str, uv: int = 0) -> list[str]:
    """What make starts, each program with its arguments; Python, pip and uv only note that down."""
    log, python = folder / "log", folder / "python"
    for name in ("Makefile", *LOCKS.values()):
        if not (folder / name).exists():
            shutil.copyfile(ROOT / name, folder / name)
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

    assert made == "python -m venv .venv"
    assert len(installs) == 2 + uv
    for line in installs:
        assert line.startswith((".venv/bin/python -m pip install ", ".venv/bin/uv pip install "))
        assert "--require-hashes" in line
        if "/uv " in line:
            assert "--python .venv/bin/python" in line
    assert "-r requirements-dev.lock" in installs[-1]
    assert {path.name for path in tmp_path.iterdir()} == {
        ".venv", "Makefile", "log", "python", *LOCKS.values()
    }  # fmt: skip
    assert "include-system-site-packages = false" in (Path(sys.prefix) / "pyvenv.cfg").read_text()
    before = len(installs)
    assert len(make(tmp_path, ".venv/.runtime", ".venv/.ray", uv=uv)) == 1 + before  # it holds them already


def test_a_lock_keeps_its_versions_unless_it_is_told(tmp_path: Path) -> None:
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
    assert {asked} == versions("runtime")["dvc"]


# --- licences and the bill of materials


def test_the_list_of_licences_and_the_bill_of_materials_are_those_of_the_locks() -> None:
    found = supply_chain.packages()

    assert (ROOT / "docs" / "licences.md").read_text(encoding="utf-8") == supply_chain.licences(found)
    assert json.loads((ROOT / "docs" / "sbom.cdx.json").read_text(encoding="utf-8")) == supply_chain.bill(
        found
    )


def test_every_package_has_a_licence_that_lets_anybody_use_it() -> None:
    free = re.compile(
        r"(MIT|MIT-0|MIT-CMU|Apache-2\.0|BSD-[23]-Clause|0BSD|ISC|PSF-2\.0|Python-2\.0|MPL-2\.0|Zlib|ZPL-2\.1|Unlicense|"
        r"CC0-1\.0|HPND|EPL-[12]\.0|LLVM-exception)"
    )
    exceptions = {  # used as they are, by their names
        "psycopg2-binary": "LGPL-3.0-or-later",
        "pygit2": "GPL-2.0-only WITH GCC-exception-2.0",
    }
    for one in supply_chain.packages():
        if one.name in exceptions:
            assert one.licence == exceptions[one.name]
            continue
        words = [word.strip("() ") for word in re.split(r" OR ", one.licence)]
        assert any(
            all(free.fullmatch(part.strip("() ")) for part in re.split(r" AND | WITH ", word))
            for word in words
        ), f"{one.name}: {one.licence}"


def test_the_bill_of_materials_has_each_package_once_and_no_address() -> None:
    text = (ROOT / "docs" / "sbom.cdx.json").read_text(encoding="utf-8")
    components = json.loads(text)["components"]

    assert len({one["bom-ref"] for one in components}) == len(components) > 200
    assert re.findall(r"https?://[^\"]+", text) == ["http://cyclonedx.org/schema/bom-1.5.schema.json"]


# --- advisories


def advisory(**affected: object) -> dict[str, object]:
    return {
        "id": "PYSEC-1",
        "summary": "a hole",
        "affected": [{"package": {"name": "Some_Package", "ecosystem": "PyPI"}, **affected}],
    }


def ranges(*events: dict[str, str]) -> dict[str, object]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "hit"),
    [
        ({"versions": ["1.2.0", "1.3.0"]}, True),
        ({"versions": ["1.3.0"]}, False),
        (ranges({"introduced": "0"}), True),
        (ranges({"introduced": "0"}, {"fixed": "1.2.0"}), False),
        (ranges({"introduced": "0"}, {"fixed": "1.2.1"}), True),
        (ranges({"introduced": "1.2.1"}), False),
        (ranges({"introduced": "1.0"}, {"last_affected": "1.2.0"}), True),
        (ranges({"introduced": "1.0"}, {"last_affected": "1.1.9"}), False),
        (ranges({"introduced": "0"}, {"fixed": "1.1"}, {"introduced": "1.2"}, {"fixed": "1.10"}), True),
        (ranges({"introduced": "0"}, {"fixed": "the one after"}), True),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
    ],
)
def test_advisories_are_held_against_versions(affected: dict[str, object], hit: bool) -> None:
    package = Package("some-package", "1.2.0", "runtime", "MIT")

    lines = advisories.audit([package], iter([advisory(**affected)]))

    assert lines == (["some-package 1.2.0 (runtime): PYSEC-1: a hole"] if hit else [])


def test_withdrawn_and_foreign_advisories_say_nothing() -> None:
    package = Package("some-package", "1.2.0", "runtime", "MIT")
    withdrawn = advisory(versions=["1.2.0"]) | {"withdrawn": "2024-01-01T00:00:00Z"}
    foreign = advisory(versions=["1.2.0"])
    foreign["affected"][0]["package"]["ecosystem"] = "npm"  # type: ignore[index]

    assert advisories.audit([package], iter([withdrawn, foreign])) == []


# As the Python Packaging Advisory Database writes it, but that it quotes a version that looks like a number.
IN_YAML = """\
id: PYSEC-1
details: |
  a hole

  in several paragraphs
affected:
- package:
    ecosystem: PyPI
    name: {name}
    purl: pkg:pypi/{name}
  ranges:
  - type: ECOSYSTEM
    events:
    - introduced: '0'
    - fixed: {fixed}
  versions:
  - {version}
references:
- type: WEB
  url: somewhere
modified: '2024-11-21T14:22:44.000000Z'
published: 2024-01-01T00:00:00Z
"""


def in_json(name: str, version: str, fixed: str) -> str:
    found = advisory(versions=[version], **ranges({"introduced": "0"}, {"fixed": fixed}))
    found["affected"][0]["package"]["name"] = name  # type: ignore[index]
    return json.dumps(found)


def in_yaml(name: str, version: str, fixed: str) -> str:
    return IN_YAML.format(name=name, version=version, fixed=fixed)


@pytest.mark.parametrize(("suffix", "write"), [("json", in_json), ("yaml", in_yaml), ("yml", in_yaml)])
def test_the_audit_reads_a_folder_in_both_formats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, write: Callable[..., str]
) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "workflow.yml").write_text("name: numpy\n")
    assert supply_chain.main(["audit", str(tmp_path)]) == 2
    assert "expected advisories (*.json or *.yaml, OSV's format), found none" in capsys.readouterr().err
    folder = tmp_path / "vulns" / "one"
    folder.mkdir(parents=True)
    (folder / f"PYSEC-0.{suffix}").write_text(write("numpy", "0.1", "0.2"))
    (folder / f"PYSEC-2.{suffix}").write_text(write("a-package-of-others", "0", "99"))
    assert supply_chain.main(["audit", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(" packages, none of them in an advisory\n")
    (numpy,), (uv,) = versions("runtime")["numpy"], versions("installer")["uv"]
    (folder / f"PYSEC-3.{suffix}").write_text(write("NumPy", numpy, "0.2"))
    (folder / f"PYSEC-4.{suffix}").write_text(write("uv", "0.1", "99"))
    assert supply_chain.main(["audit", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"numpy {numpy} (runtime): PYSEC-1: a hole",
        f"uv {uv} (installer): PYSEC-1: a hole",
    ]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_version_that_looks_like_a_number_keeps_its_zero(tmp_path: Path, suffix: str) -> None:
    write = {"json": in_json, "yaml": in_yaml}[suffix]
    (tmp_path / f"a.{suffix}").write_text(write("some-package", "1.10", "1.20"))
    (read,) = advisories.read(advisories.files(tmp_path), ["some-package"])

    found = [advisories.is_affected(one, read["affected"][0]) for one in ("1.10", "1.19", "1.20")]

    assert found == [True, True, False]


NO_ADVISORY = [
    ("a.json", '{"name": "numpy"', "expected an advisory (OSV's format), got: "),
    ("a.yaml", "name: numpy\n\tid: 1", "expected an advisory (OSV's format), got: "),
    (
        "a.yaml",
        "name: numpy",
        "expected an advisory (OSV's format) with id and affected, got something else. ",
    ),
    ("a.json", '[{"name": "numpy"}]', "expected an advisory (OSV's format) with id and affected, got "),
]


@pytest.mark.parametrize(("name", "text", "said"), NO_ADVISORY)
def test_a_file_that_is_no_advisory_is_said_and_not_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)

    assert supply_chain.main(["audit", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / name}: {said}")


def test_security_md_shows_the_audit_as_it_is_called() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^python -m tools\.supply_chain audit .*$", text, re.MULTILINE)

    assert line == "python -m tools.supply_chain audit <folder>"
    assert supply_chain.main(["audit", str(ROOT / "tests")]) == 2  # a folder without any


# --- what the code never does


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle", "yaml"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "tempfile.mktemp", "torch.load"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_pickle_no_code_from_data_and_no_shell(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not {name.split(".")[0] for name in names} & FORBIDDEN_MODULES
    for name, call in calls(path):
        arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert name not in FORBIDDEN_CALLS
        assert arguments.get("shell", "False") == "False"
        assert arguments.get("safe_mode", "True") == "True"
        assert arguments.get("verify", "True") == "True"
        if name in ("np.load", "numpy.load"):
            assert arguments["allow_pickle"] == "False"
        if name.endswith("pd.read_pickle"):
            raise AssertionError(name)
        if name == "YAML":  # "unsafe" would build any object
            assert arguments.get("typ", "'rt'") in ("'base'", "'safe'", "'rt'")


def test_nothing_is_told_to_listen_beyond_this_machine() -> None:
    for name in TRACKED:
        path = ROOT / name
        if name.startswith(("tests/", "docs/")) or path.suffix not in {".py", ".yaml", ".yml", ".toml", ""}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            # In compose.yaml a server listens inside its container, and its port is published on 127.0.0.1.
            if "0.0.0.0" in line and name != "compose.yaml":  # noqa: S104
                raise AssertionError(f"{name}:{number}: {line.strip()}")


def test_a_container_that_others_can_reach_asks_who_they_are() -> None:
    """compose.yaml is the one thing that is meant for others: a team's server."""
    from ruamel.yaml import YAML

    services = YAML(typ="safe").load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    open_ = [
        service
        for service in services.values()
        if any(not str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))
    ]

    assert all("MLFLOW_AUTH_CONFIG_PATH" in service["environment"] for service in open_)
    assert all("--app-name basic-auth" in str(service.get("command")).replace("=", " ") for service in open_)


def test_no_tracked_file_is_a_program_or_a_pickle_in_disguise() -> None:
    for name in TRACKED:
        path = ROOT / name
        if not path.is_file():
            continue
        head = path.read_bytes()[:4]
        assert head[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), name  # pickles
        assert head not in (b"\x7fELF", b"MZ\x90\x00"), name
        assert path.stat().st_size < 2_000_000, name
