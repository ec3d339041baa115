"""The documents say what is so: commands, options, paths, keys and links are those of the repository."""

import argparse
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from cogapp import Cog
from ruamel.yaml import YAML

from docs import render
from pipeline.__main__ import parser as pipeline_parser
from tests.conftest import ROOT

NAMES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split("\0")[:-1]
FILES = {name for name in NAMES if (ROOT / name).is_file()}
FOLDERS = {parent.as_posix() for name in FILES for parent in Path(name).parents} - {"."}
DOCUMENTS = sorted(
    name for name in FILES if name.endswith(".md") and not name.startswith(("report/", "tests/"))
)
MADE = (
    "data",
    "runs",
    "range_test",
    "report",
    "mlflow.db",
    "mlartifacts",
    ".venv",
    ".scratch",
    ".dvc",
)
"""What is not in git, or not before the first run; documents may name it."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    return BLOCK.sub("", text(name))


def commands(name: str) -> list[str]:
    """Each command of the shell blocks, and what is named in backticks and begins like one."""
    found = []
    for language, block in BLOCK.findall(text(name)):
        if language in ("sh", "bash", "console", "shell"):
            joined = block.replace("\\\n", " ")
            lines = [line.partition(" # ")[0].strip().removeprefix("$ ") for line in joined.splitlines()]
            found += [line for line in lines if line and not line.startswith("#")]
    spans = (span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(name)))
    found += [span for span in spans if re.match(r"(make|dvc|python -m pipeline) [a-z.]", span)]
    return [part.strip() for line in found for part in re.split(r"&&|\|\||;(?!\S)", line) if part.strip()]


COMMANDS = [(name, command) for name in DOCUMENTS for command in commands(name)]


def test_the_documents_that_people_look_for_are_there() -> None:
    assert {"README.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md"} <= FILES


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in headings}
            assert anchor in slugs, f"{name}: {target}"


def words(command: str) -> list[str]:
    """The command's words without variables in front of it and without what follows a pipe or `>`."""
    plain = re.split(r" (?:\||>|2>)", command)[0].replace("[", "'['").replace("'['", "[")
    try:
        found = shlex.split(plain)
    except ValueError:
        found = plain.split()
    while found and re.fullmatch(r"[A-Z_]+=\S*", found[0]):
        found = found[1:]
    return found


@pytest.mark.parametrize(("name", "command"), [c for c in COMMANDS if words(c[1])[:1] == ["make"]])
def test_make_has_the_target(name: str, command: str) -> None:
    for word in words(command)[1:]:
        if re.match(r"[A-Z_]+=|<|-", word):
            continue
        assert word in TARGETS or f".venv/.{word.rpartition('.')[2]}" == word, f"{name}: {command}"


def is_ours(command: str) -> bool:
    found = words(command)
    return len(found) > 3 and found[0].endswith("python") and found[1:3] == ["-m", "pipeline"]


@pytest.mark.parametrize(("name", "command"), [c for c in COMMANDS if is_ours(c[1])])
def test_the_pipeline_has_the_command_and_its_options(name: str, command: str) -> None:
    (subs,) = [
        action for action in pipeline_parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    _, _, _, verb, *rest = words(command)
    if verb.startswith("<"):
        return
    assert verb in subs.choices, f"{name}: {command}"
    options = {option for action in subs.choices[verb]._actions for option in action.option_strings}
    for word in rest:
        if word.strip("[]").startswith("--"):
            assert word.strip("[]").partition("=")[0] in options, f"{name}: {command}: {word}"


@pytest.mark.parametrize(
    ("name", "command"), [c for c in COMMANDS if (words(c[1]) or [""])[0].rpartition("/")[2] == "dvc"]
)
def test_dvc_has_the_command_and_its_options(name: str, command: str) -> None:
    from dvc.cli.parser import get_main_parser

    found = [re.sub(r"[<>…]", "x", word) for word in words(command)[1:]]
    if found == ["exp"] or not found:
        return
    try:
        get_main_parser().parse_args(found)
    except SystemExit as error:
        raise AssertionError(f"{name}: {command}") from error
    except Exception as error:
        raise AssertionError(f"{name}: {command}: {error}") from error


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_exist(name: str) -> None:
    known = FILES | FOLDERS
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(name)):
        path = span.strip().rstrip("/").partition("::")[0]
        if not re.fullmatch(r"\.?[\w-]+(/[\w.*-]+)+", path) or path.partition("/")[0] in MADE:
            continue
        if path.partition("/")[0] not in {one.partition("/")[0] for one in known}:
            continue  # a path of something else, such as seeds/second
        found = any(Path(one).match(path) for one in known) if "*" in path else path in known
        assert found, f"{name}: {path}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_keys_of_params_exist(name: str) -> None:
    values = YAML(typ="safe", pure=True).load(text("params.yaml"))
    for dotted in re.findall(
        r"(?<![\w./-])((?:data|train|report|range_test)(?:\.[a-z_]+)+)\b(?![./(])",
        text(name).replace(r"\_", "_"),
    ):
        if dotted.rpartition(".")[2] in ("py", "csv", "json", "yaml", "svg", "html", "md", "npy"):
            continue
        place = values
        for key in dotted.split("."):
            assert isinstance(place, dict), f"{name}: {dotted}"
            assert key in place, f"{name}: {dotted}"
            place = place[key]


@pytest.mark.parametrize("name", render.pages())
def test_figures_are_those_of_the_results(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "README.md":
        need_committed_report()
    code = Cog().main(["cog", "--check", "--diff", *render.OPTIONS, str(ROOT / name)])
    assert code == 0, f"{name} is stale. Run `make docs`; it would change:\n{capsys.readouterr().out}"


def test_the_readmes_picture_is_the_reports() -> None:
    need_committed_report()
    if not (ROOT / render.SOURCE).exists():
        pytest.skip(f"{render.SOURCE} is missing: `dvc repro` makes it, `dvc pull` fetches it")
    drawn = (ROOT / render.SOURCE).read_bytes() == (ROOT / render.PICTURE).read_bytes()
    assert drawn, f"{render.PICTURE} is stale. Run `make docs`."


def need_committed_report() -> None:
    """Skip where somebody is trying something: README shows the study that git has."""
    command = ["git", "status", "--porcelain", "report"]
    if subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout:
        pytest.skip("report/ is not as committed: commit it, and run `make docs` to show it in README")


def test_the_readme_opens_with_its_commands_and_a_picture() -> None:
    first = text("README.md")[:4000]

    assert "make repro" in first
    assert "make test" in first
    assert re.search(r"!\[[^\]]+\]\([^)]+\)", first)  # a picture with a text for those who do not see it


def test_the_readmes_tree_is_the_repositorys() -> None:
    """Every name in the annotated tree exists, and no folder of the repository is left out."""
    (tree,) = [
        block for _, block in BLOCK.findall(text("README.md")) if re.search(r"^pipeline/$", block, re.M)
    ]
    named: set[str] = set()
    above = ""
    for line in tree.splitlines():
        inside = line.startswith(" ")
        for entry in re.split(r"  +", line.strip())[0].split():
            if entry == "...":
                continue
            path = (above + entry if inside else entry).rstrip("/")
            named.add(path)
            above = above if inside else f"{path}/"
    assert len(named) > 8
    for path in named:
        assert path in FILES | FOLDERS or path.partition("/")[0] in MADE, f"README.md: {path}"
    assert {path for path in FOLDERS if re.fullmatch(r"[a-z]\w*", path)} - set(MADE) <= named
