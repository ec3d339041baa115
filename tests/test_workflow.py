"""The workflows: what they may do, and the comment; `hard/test_workflow_steps.py` runs the study's steps."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
WORKFLOWS: dict[str, Any] = {path.stem: YAML(typ="safe").load(path.read_text()) for path in FILES}
JOBS = [(name, job, content) for name, flow in WORKFLOWS.items() for job, content in flow["jobs"].items()]
STEPS = [(name, job, step) for name, job, content in JOBS for step in content["steps"]]


def run_steps(workflow: str, job: str) -> list[dict[str, Any]]:
    return [step for name, of, step in STEPS if (name, of) == (workflow, job) and "run" in step]


# --- what they may do


def test_every_action_is_pinned_by_a_commit_with_its_version_beside_it() -> None:
    lines = [line for path in FILES for line in path.read_text().splitlines() if "uses:" in line]

    assert len(lines) == sum("uses" in step for _, _, step in STEPS)
    for line in lines:
        assert re.search(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_one_action_has_one_version() -> None:
    uses = {step["uses"] for _, _, step in STEPS if "uses" in step}
    assert len(uses) == len({use.split("@")[0] for use in uses})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_token_may_do_nothing_unless_a_job_says_so(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        writes = {what for what, how in job["permissions"].items() if how != "read"}
        assert writes == ({"pull-requests"} if name == "comment" else set())
        assert job["timeout-minutes"] <= 60


def test_what_runs_a_forks_code_has_no_rights_and_what_has_rights_runs_none() -> None:
    assert set(WORKFLOWS["study"]["on"]) == {"push", "pull_request"}
    assert list(WORKFLOWS["comment"]["on"]) == ["workflow_run"]
    assert WORKFLOWS["comment"]["on"]["workflow_run"]["workflows"] == [WORKFLOWS["study"]["name"]]
    text = (FOLDER / "comment.yml").read_text()
    assert "actions/checkout" not in text
    for path in FILES:
        assert "secrets." not in path.read_text()
        assert "pull_request_target:" not in path.read_text()
    for _, _, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_no_text_of_a_stranger_becomes_part_of_a_program() -> None:
    for name, job, step in STEPS:
        assert "${{" not in step.get("run", ""), f"{name}, {job}: hand it over in env instead"


def test_caches_are_keyed_by_what_they_hold() -> None:
    keys = {
        step["with"]["path"]: step["with"]["key"]
        for _, _, step in STEPS
        if step.get("uses", "").startswith("actions/cache")
    }
    assert set(keys) == {".venv", ".dvc/cache"}
    assert "hashFiles('requirements*.lock')" in keys[".venv"]
    assert "hashFiles('dvc.lock')" in keys[".dvc/cache"]


# --- every step of comment.yml, against a server that answers as GitHub's API does


class GitHub(ThreadingHTTPServer):
    """Pull requests and comments, kept in memory; remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()


class _Answer(BaseHTTPRequestHandler):
    server: GitHub

    def _answer(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        self.server.asked.append((self.command, self.path))
        self.server.tokens.add(self.headers["Authorization"])
        place = self.path.removeprefix("/repos/owner/study/")
        result: Any = {}
        if self.command == "GET" and place.startswith("pulls?state=open&head=fork%3Achange%2Frate"):
            result = self.server.pulls
        elif self.command == "GET" and (
            found := re.fullmatch(r"issues/7/comments\?per_page=100&page=(\d+)", place)
        ):
            page = int(found[1])
            result = self.server.comments[100 * (page - 1) : 100 * page]
        elif self.command == "POST" and place == "issues/7/comments":
            self.server.comments.append(
                {"id": 1000 + len(self.server.comments), "user": {"type": "Bot"}, **body}
            )
        elif self.command == "PATCH" and (found := re.fullmatch(r"issues/comments/(\d+)", place)):
            next(c for c in self.server.comments if c["id"] == int(found[1])).update(body)
        else:
            self.send_error(404)
            return
        content = json.dumps(result).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    server = GitHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def comment(github: GitHub, folder: Path, text: str, sha: str = "abc") -> subprocess.CompletedProcess[str]:
    (folder / "comment").mkdir(exist_ok=True)
    (folder / "comment" / "comment.md").write_text(text, encoding="utf-8")
    (step,) = run_steps("comment", "comment")
    assert step["shell"] == "python"
    values = {"TOKEN": "secret", "OWNER": "fork", "BRANCH": "change/rate", "SHA": sha}
    assert set(step["env"]) == set(values)
    return subprocess.run(
        [sys.executable, "-c", step["run"]],
        cwd=folder,
        env=values
        | {
            "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
            "GITHUB_REPOSITORY": "owner/study",
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_there_is_one_comment_and_it_is_updated(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]
    github.comments = [
        {"id": number, "user": {"type": "User"}, "body": "<!-- learning-rate-study -->\nnot ours"}
        for number in range(100)
    ]

    for text in ("first", "second"):
        done = comment(github, tmp_path, text)
        assert done.returncode == 0, done.stderr

    ours = [c["body"] for c in github.comments if c["user"]["type"] == "Bot"]
    assert ours == ["<!-- learning-rate-study -->\nsecond"]
    assert [method for method, _ in github.asked if method != "GET"] == ["POST", "PATCH"]
    assert github.tokens == {"Bearer secret"}


def test_the_text_of_a_fork_calls_nobody_hides_nothing_and_is_bounded(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]

    done = comment(github, tmp_path, "@everyone <!-- learning-rate-study --> " + "x" * 100_000)

    assert done.returncode == 0, done.stderr
    body = github.comments[0]["body"]
    assert "@everyone" not in body
    assert "everyone" in body
    assert body.count("<!--") == 1
    assert len(body) < 65_536


@pytest.mark.parametrize("pulls", [[], [{"number": 7, "head": {"sha": "newer"}}]])
def test_a_pull_request_that_moved_on_gets_no_comment(
    github: GitHub, tmp_path: Path, pulls: list[dict[str, Any]]
) -> None:
    github.pulls = pulls

    done = comment(github, tmp_path, "old news")

    assert done.returncode == 1
    assert "no open pull request with the head abc" in done.stderr
    assert github.comments == []
