"""The workflows: what they may do beyond what zizmor checks, and the comment.

`hard/test_workflow_steps.py` runs the study's steps.
"""

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


def test_one_action_has_one_version() -> None:
    uses = {step["uses"].replace("/restore@", "@") for _, _, step in STEPS if "uses" in step}
    assert len(uses) == len({use.split("@")[0] for use in uses})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_token_may_do_nothing_unless_a_job_says_so(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for job in WORKFLOWS[name]["jobs"].values():
        writes = {what for what, how in job["permissions"].items() if how != "read"}
        assert writes == ({"pull-requests"} if name == "comment" else set())
        assert job["timeout-minutes"] <= 60


def test_what_runs_a_forks_code_has_no_secrets_and_what_has_rights_runs_none() -> None:
    assert set(WORKFLOWS["study"]["on"]) == {"push", "pull_request"}
    assert WORKFLOWS["comment"]["on"] == {
        "workflow_run": {"workflows": [WORKFLOWS["study"]["name"]], "types": ["completed"]}
    }
    assert not any("secrets." in path.read_text() for path in FILES)
    assert "actions/checkout" not in (FOLDER / "comment.yml").read_text()


def test_caches_are_keyed_by_what_they_hold() -> None:
    caches = [step for _, _, step in STEPS if step.get("uses", "").startswith("actions/cache")]
    keys = {(step["with"]["path"], step["with"]["key"]) for step in caches}

    assert {path for path, _ in keys} == {".venv", ".dvc/cache"}
    for path, key in keys:
        if path == ".venv":  # its python is a link to a folder named by the full version
            assert "-py${{ steps.python.outputs.python-version }}-" in key
            assert "hashFiles('requirements/*.txt')" in key
        else:
            assert "hashFiles('dvc.lock')" in key
    for name, job, step in STEPS:
        if step.get("uses", "").startswith("actions/setup-python"):
            assert step["id"] == "python", f"{name}, {job}"


def test_verify_finds_the_runs_that_the_study_left_and_leaves_none_itself() -> None:
    """Who saves under a key first saves for good: an empty cache would stay."""
    job = WORKFLOWS["study"]["jobs"]["verify"]
    uses = [step["uses"] for step in job["steps"] if step.get("with", {}).get("path") == ".dvc/cache"]

    assert job["needs"] == "study"
    assert job["if"] == "${{ !cancelled() }}"
    assert len(uses) == 1
    assert uses[0].startswith("actions/cache/restore@")


@pytest.mark.parametrize("code", [0, 1, 75])
def test_what_verify_says_reaches_the_summary_whatever_comes_of_it(tmp_path: Path, code: int) -> None:
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\necho 'verify: trains 2 of 4 runs again'; echo \"Running stage 'scale'\"\n"
        "echo '  runs/lr-0.1/seed-0: dvc.lock says 1, the rerun made 2.' >&2\n"
        f"echo '    history.csv: differs' >&2; echo 'error: why' >&2; exit {code}\n"
    )
    program.chmod(0o755)
    (step,) = [step for step in run_steps("study", "verify") if step["name"] == "Two runs again from nothing"]

    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert (tmp_path / "summary").read_text() == (
        "\n```text\nverify: trains 2 of 4 runs again\n"
        "  runs/lr-0.1/seed-0: dvc.lock says 1, the rerun made 2.\n    history.csv: differs\n"
        "error: why\n```\n"
    )
    assert "Running stage" in done.stdout


# --- every step of comment.yml, against a server that answers as GitHub's API does


class GitHub(ThreadingHTTPServer):
    """Pull requests and comments, kept in memory; remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.pulls: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.jobs: list[dict[str, Any]] = []
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
        elif self.command == "GET" and place == "actions/runs/5/jobs?filter=latest&per_page=100":
            result = {"jobs": self.server.jobs}
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
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def comment(
    github: GitHub, folder: Path, text: str | None, sha: str = "abc"
) -> subprocess.CompletedProcess[str]:
    if text is not None:
        (folder / "comment").mkdir(exist_ok=True)
        (folder / "comment" / "comment.md").write_text(text, encoding="utf-8")
    (step,) = run_steps("comment", "comment")
    assert step["shell"] == "python"
    values = {"TOKEN": "secret", "OWNER": "fork", "BRANCH": "change/rate", "SHA": sha, "RUN": "5"}
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
    assert ours == [f"<!-- learning-rate-study -->\n{WHOSE}second"]
    assert [method for method, _ in github.asked if method != "GET"] == ["POST", "PATCH"]
    assert github.tokens == {"Bearer secret"}


WHOSE = "_Made by this pull request's own code, and checked by nobody else:_\n\n"


def test_the_text_of_a_fork_calls_nobody_hides_nothing_and_is_bounded(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]

    harm = "@everyone <!-- learning-rate-study --> ![](http://x/y.png) <img src=x> <a href=y>"
    done = comment(github, tmp_path, f"<details><summary>{harm}</summary></details>" + "x" * 100_000)

    assert done.returncode == 0, done.stderr
    body = github.comments[0]["body"]
    assert "@everyone" not in body
    assert "everyone" in body
    assert body.count("<!--") == 1
    assert body.startswith(f"<!-- learning-rate-study -->\n{WHOSE}<details><summary>@")
    assert set(re.findall(r"<[^>]*>", body)[1:]) == {"<details>", "<summary>", "</summary>", "</details>"}
    assert "![" not in body
    assert len(body) < 65_536


def test_a_text_that_grows_by_being_made_harmless_is_bounded_too(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]

    done = comment(github, tmp_path, "@" * 60_000)

    assert done.returncode == 0, done.stderr
    assert len(github.comments[0]["body"]) < 65_536


PASSED, FAILED = "success", "failure"


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ({"test": PASSED, "study": PASSED, "verify": PASSED}, None),
        ({"test": PASSED, "study": PASSED, "verify": FAILED}, "verify"),
        ({"test": FAILED, "study": PASSED, "verify": "timed_out"}, "test, verify"),
        ({"test": PASSED, "study": FAILED, "verify": "skipped"}, "study"),
        ({"test": PASSED, "[free money](http://x)": FAILED}, "a job"),
    ],
)
def test_jobs_that_failed_stand_above_the_text(
    github: GitHub, tmp_path: Path, jobs: dict[str, str], said: str | None
) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]
    github.jobs = [{"name": name, "conclusion": how} for name, how in jobs.items()]

    done = comment(github, tmp_path, "what changed")

    assert done.returncode == 0, done.stderr
    note = f"**Failed at abc: {said}.** The checks below say why.\n\n" if said else ""
    assert github.comments[0]["body"] == f"<!-- learning-rate-study -->\n{note}{WHOSE}what changed"


def test_a_study_that_left_no_text_takes_the_place_of_the_one_before(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    comment(github, tmp_path / "one", "the commit before")
    github.jobs = [{"name": "study", "conclusion": "failure"}]

    done = comment(github, tmp_path / "two", None)

    assert done.returncode == 0, done.stderr
    (body,) = [one["body"] for one in github.comments]
    assert "Failed at abc: study." in body
    assert body.endswith("No report was made.\n")


def test_a_text_that_is_a_link_is_not_followed(github: GitHub, tmp_path: Path) -> None:
    github.pulls = [{"number": 7, "head": {"sha": "abc"}}]
    (tmp_path / "secret").write_text("what the runner holds")
    (tmp_path / "comment").mkdir()
    (tmp_path / "comment" / "comment.md").symlink_to(tmp_path / "secret")

    done = comment(github, tmp_path, None)

    assert done.returncode == 0, done.stderr
    assert "what the runner holds" not in github.comments[0]["body"]


def test_the_comment_is_written_for_failures_too() -> None:
    job = WORKFLOWS["comment"]["jobs"]["comment"]
    (download,) = [step for step in job["steps"] if "uses" in step]

    assert '["success", "failure", "timed_out"]' in job["if"]
    assert download["continue-on-error"] is True


@pytest.mark.parametrize("pulls", [[], [{"number": 7, "head": {"sha": "newer"}}]])
def test_a_pull_request_that_moved_on_gets_no_comment(
    github: GitHub, tmp_path: Path, pulls: list[dict[str, Any]]
) -> None:
    github.pulls = pulls

    done = comment(github, tmp_path, "old news")

    assert done.returncode == 0, done.stderr
    assert "no open pull request with the head abc" in done.stdout
    assert github.comments == []
