"""Stage `download` against folders and a real server that misbehaves in every known way."""

import contextlib
import gzip
import hashlib
import os
import pty
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core import files
from pipeline.core.datasets import DIGITS, MNIST, Published
from pipeline.core.errors import DownloadError
from pipeline.download import raw_files, sources
from pipeline.download.stage import download
from pipeline.params import reading
from tests.conftest import ROOT, run_dvc
from tests.download.conftest import MNIST_FOLDER, needs_mnist, working_folder

CONTENT, OTHER = gzip.compress(os.urandom(200_000), mtime=0), b"another file"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = {"a.gz": Published(len(CONTENT), SHA256)}
BOTH = FILE | {"b.gz": Published(len(OTHER), hashlib.sha256(OTHER).hexdigest())}

Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """An HTTP server on this machine; `replies` are used up one by one, the last one stays."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.requests: list[str] = []
        self.over = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self.http.server_port}/mnist"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                replies = server.replies.get(self.path.rpartition("/")[2], [status(404)])
                reply = replies.pop(0) if len(replies) > 1 else replies[0]
                with contextlib.suppress(ConnectionError):
                    reply(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def body(content: bytes, length: int | None = None, **headers: str) -> Reply:
    """An answer of `content`, announced as `length` bytes; -1 announces nothing."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length != -1:
            handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def status(code: int, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


def chunked(handler: BaseHTTPRequestHandler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    for start in range(0, len(CONTENT), 50_000):
        piece = CONTENT[start : start + 50_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(bytes(1 << 16))


def silent(server: Server, *, after: bytes | None) -> Reply:
    """Fall silent: before the answer (None), or after these bytes of it."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        if after is not None:
            body(after, len(CONTENT))(handler)
            handler.wfile.flush()
        server.over.wait(60)

    return reply


def collect(
    *addresses: str, folder: Path, wanted: dict[str, Published] = FILE, timeout: float = 30, retries: int = 0
) -> dict[str, str]:
    """Without the pauses, and with time for what must come, however busy this machine is."""
    dataset = SimpleNamespace(name="mnist", title="MNIST", published=wanted)
    named = dict.fromkeys(addresses, "test")
    return sources.collect(dataset, named, folder, timeout=timeout, retries=retries)


def reasons(*addresses: str, folder: Path, **options: object) -> list[str]:
    """The middle of the error that must come: a line for each source and file that failed."""
    before = sorted(folder.iterdir()) if folder.exists() else []
    with pytest.raises(DownloadError) as caught:
        collect(*addresses, folder=folder, **options)
    assert (sorted(folder.iterdir()) if folder.exists() else []) == before, "something was left behind"
    lines = str(caught.value).splitlines()
    assert lines[-3:] == [
        "Two ways out:",
        "  MNIST_MIRROR=<folder or address> dvc repro   takes the four files from there",
        "  make demo   runs the whole pipeline on a small sample that needs no network",
    ]
    return [line.removeprefix("  ").replace("(test): ", "") for line in lines[1:-3]]


def test_a_file_comes_whole_from_a_server(server: Server, tmp_path: Path) -> None:
    server.replies["a.gz"] = [body(CONTENT)]

    origins = collect(server.address, folder=tmp_path / "raw")

    assert origins == {"a.gz": f"from {server.address} (test)"}
    assert (tmp_path / "raw" / "a.gz").read_bytes() == CONTENT
    assert [entry.name for entry in (tmp_path / "raw").iterdir()] == ["a.gz"]
    assert server.requests == ["/mnist/a.gz"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "raw" / "a.gz").stat().st_mode & 0o777 == 0o666 & ~umask


# What servers do that is no reason to refuse the bytes.
HARMLESS = {
    "no length announced": body(CONTENT, -1),
    "in pieces": chunked,
    "labelled as compressed on the way": body(CONTENT, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("reply", HARMLESS.values(), ids=HARMLESS)
def test_the_bytes_count_and_not_how_they_are_sent(server: Server, tmp_path: Path, reply: Reply) -> None:
    server.replies["a.gz"] = [reply]

    collect(server.address, folder=tmp_path)

    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_server_is_asked_for_the_file_as_it_is_stored(server: Server, tmp_path: Path) -> None:
    asked = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Accept-Encoding"])
        body(CONTENT)(handler)

    server.replies["a.gz"] = [reply]

    collect(server.address, folder=tmp_path)

    assert asked == ["identity"]


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.replies = {"a.gz": [status(302, Location="/elsewhere/c")], "c": [body(CONTENT)]}

    collect(server.address, folder=tmp_path)

    assert server.requests == ["/mnist/a.gz", "/elsewhere/c"]


PASSING = {
    "busy": status(503),
    "cut": body(CONTENT[:1000], len(CONTENT)),
    "damaged-on-the-way": body(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])),
}


def test_a_passing_fault_is_tried_again_after_a_pause(server: Server, tmp_path: Path) -> None:
    server.replies = {fault: [reply, body(CONTENT)] for fault, reply in PASSING.items()}

    def seconds(fault: str) -> float:
        started = time.monotonic()
        collect(
            server.address,
            folder=tmp_path / fault,
            wanted={fault: Published(len(CONTENT), SHA256)},
            retries=1,
        )
        return time.monotonic() - started

    with ThreadPoolExecutor(len(PASSING)) as pool:  # the pauses take their time at the same time
        pauses = list(pool.map(seconds, PASSING))

    assert {(tmp_path / fault / fault).read_bytes() for fault in PASSING} == {CONTENT}
    assert sorted(server.requests) == sorted(f"/mnist/{fault}" for fault in PASSING for _ in range(2))
    assert min(pauses) > 1


BOMB = gzip.compress(bytes(1 << 24))
REFUSED = {
    "not there": (status(404), "expected the file, got HTTP 404 Not Found"),
    "forbidden": (status(403), "expected the file, got HTTP 403 Forbidden"),
    "too many requests": (status(429), "expected the file, got HTTP 429 Too Many Requests"),
    "a page in place of the file": (
        body(b"<html>Log in to this network</html>"),
        f"expected {len(CONTENT):,} bytes, got 35",
    ),
    "cut without a length": (body(CONTENT[:1000], -1), f"expected {len(CONTENT):,} bytes, got 1,000"),
    "an encoded bomb": (
        body(BOMB, -1, Content_Encoding="gzip"),
        f"expected {len(CONTENT):,} bytes, got {len(BOMB):,}",
    ),
    "longer": (body(CONTENT + b"x"), f"expected {len(CONTENT):,} bytes, got more"),
    "longer without saying so": (body(CONTENT + b"x", -1), f"expected {len(CONTENT):,} bytes, got more"),
    "endless": (endless, f"expected {len(CONTENT):,} bytes, got more"),
}


@pytest.mark.parametrize(("reply", "said"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_another_is_refused_at_once(
    server: Server, tmp_path: Path, reply: Reply, said: str
) -> None:
    server.replies["a.gz"] = [reply]

    assert reasons(server.address, folder=tmp_path, retries=1) == [f"{server.address} {said} (a.gz)"]
    assert len(server.requests) == 1


def test_other_bytes_of_the_right_size_are_refused(server: Server, tmp_path: Path) -> None:
    server.replies["a.gz"] = [body(bytes(len(CONTENT)))]

    assert reasons(server.address, folder=tmp_path) == [
        f"{server.address} expected the SHA-256 {SHA256}, got as many bytes with another one (a.gz)"
    ]


def test_a_server_that_stays_busy_is_left_after_the_retries(server: Server, tmp_path: Path) -> None:
    server.replies = {"a.gz": [status(503)], "b.gz": [body(OTHER)]}

    (said,) = reasons(server.address, folder=tmp_path, wanted=BOTH, retries=1)

    assert said.startswith(f"{server.address} 503 Server Error: Service Unavailable")
    assert server.requests == ["/mnist/a.gz"] * 2


@pytest.mark.parametrize("after", [None, CONTENT[:1000]], ids=["at once", "in the middle"])
def test_a_server_that_falls_silent_is_not_waited_for(
    server: Server, tmp_path: Path, after: bytes | None
) -> None:
    server.replies["a.gz"] = [silent(server, after=after)]

    started = time.monotonic()
    (said,) = reasons(server.address, folder=tmp_path, wanted=BOTH, timeout=0.4)

    assert said.startswith(f"{server.address} ")
    assert "timed out" in said
    assert time.monotonic() - started < 10
    assert server.requests == ["/mnist/a.gz"]


def test_a_host_that_takes_the_call_and_says_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"

        (said,) = reasons(address, folder=tmp_path, timeout=0.4)

    assert said.startswith(f"{address} ")
    assert "timed out" in said


def test_a_host_that_is_not_there_is_named_in_plain_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    assert reasons(f"http://127.0.0.1:{port}", folder=tmp_path) == [
        f"http://127.0.0.1:{port} Connection refused"
    ]


def test_an_address_that_is_not_http_is_refused(tmp_path: Path) -> None:
    said = reasons("ftp://localhost/mnist", "file:///mnist", "http://[", folder=tmp_path)

    scheme = "expected a folder, or an address that begins with http:// or https://"
    assert said[:2] == [f"ftp://localhost/mnist {scheme}", f"file:///mnist {scheme}"]
    assert said[2].startswith("http://[ ")


def test_a_password_in_an_address_is_used_and_not_shown(server: Server, tmp_path: Path) -> None:
    seen = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Authorization"])
        status(404)(handler)

    server.replies["a.gz"] = [reply]

    with_login = server.address.replace("//", "//me:secret@")
    (said,) = reasons(with_login, folder=tmp_path)

    assert said == f"{server.address} expected the file, got HTTP 404 Not Found (a.gz)"
    assert seen == ["Basic bWU6c2VjcmV0"]
    server.replies["a.gz"] = [status(503)]
    (said,) = reasons(with_login, folder=tmp_path)
    assert said.startswith(f"{server.address} 503 Server Error")
    assert "secret" not in said


def test_the_environments_proxy_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    server.replies["a.gz"] = [body(CONTENT)]

    collect("http://mirror.invalid/mnist/", folder=tmp_path)

    assert server.requests == ["http://mirror.invalid/mnist/a.gz"]


def test_the_same_reason_for_several_files_is_given_once(server: Server, tmp_path: Path) -> None:
    assert reasons(server.address, folder=tmp_path, wanted=BOTH) == [
        f"{server.address} expected the file, got HTTP 404 Not Found (a.gz, b.gz)"
    ]


def test_each_file_is_sought_at_every_source(server: Server, tmp_path: Path) -> None:
    server.replies["b.gz"] = [body(OTHER)]
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "a.gz").write_bytes(CONTENT)

    origins = collect(
        str(tmp_path / "gone"), server.address, str(mirror), folder=tmp_path / "raw", wanted=BOTH
    )

    assert origins == {"b.gz": f"from {server.address} (test)", "a.gz": f"from {mirror} (test)"}
    assert server.requests == ["/mnist/a.gz", "/mnist/b.gz"]


def test_right_files_are_left_as_they_are_and_wrong_ones_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(CONTENT)
    (tmp_path / "b.gz").write_bytes(b"damaged file")  # as long as the right one
    kept = (tmp_path / "a.gz").stat()
    server.replies["b.gz"] = [body(OTHER)]

    collect(server.address, folder=tmp_path, wanted=BOTH)

    assert (tmp_path / "b.gz").read_bytes() == OTHER
    assert (tmp_path / "a.gz").stat().st_ino == kept.st_ino
    assert server.requests == ["/mnist/b.gz"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (CONTENT[:-1], f"expected {len(CONTENT):,} bytes, got {len(CONTENT) - 1:,}"),
        (CONTENT + b"x", f"expected {len(CONTENT):,} bytes, got more"),
        (
            bytes(len(CONTENT)),
            f"expected the SHA-256 {SHA256}, got as many bytes with another one",
        ),
    ],
)
def test_a_folder_is_trusted_no_more_than_a_server(tmp_path: Path, content: bytes | None, said: str) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    if content is not None:
        (mirror / "a.gz").write_bytes(content)

    assert reasons(str(mirror), folder=tmp_path / "raw") == [f"{mirror} {said} (a.gz)"]


def test_a_folder_with_the_files_unpacked_hears_that_the_published_ones_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.decompress(CONTENT))

    said = "no such file, but what it unpacks to: the .gz is wanted as it was published"
    assert reasons(str(tmp_path), folder=tmp_path / "raw") == [f"{tmp_path} {said} (a.gz)"]

    (tmp_path / "a.gz").write_bytes(CONTENT)  # both, as some libraries leave them
    collect(str(tmp_path), folder=tmp_path / "raw")
    assert (tmp_path / "raw/a.gz").read_bytes() == CONTENT


def test_folders_are_seen_from_the_repository_also_in_dvcs_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("mirror", "repository", "repository/.dvc/tmp/exps/copy"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mirror" / "a.gz").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path / "repository" / ".dvc" / "tmp" / "exps" / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))

    collect("../mirror", folder=Path("data/raw"))

    assert Path("data/raw/a.gz").read_bytes() == CONTENT


def test_the_environments_mirror_comes_first_and_none_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["../shared/mnist", "https://b", "../shared/mnist"]
    configured = [("../shared/mnist", "data.mirrors.mnist"), ("https://b", "data.mirrors.mnist")]

    assert list(sources.sources(listed, "mnist").items()) == configured
    monkeypatch.setenv("MNIST_MIRROR", " ")
    assert list(sources.sources(listed, "mnist").items()) == configured
    monkeypatch.setenv("MNIST_MIRROR", "https://b")
    assert list(sources.sources(listed, "mnist").items()) == [("https://b", "MNIST_MIRROR"), configured[0]]


def test_an_empty_list_of_sources_is_named_as_the_reason(tmp_path: Path) -> None:
    assert reasons(folder=tmp_path) == ["no source: MNIST_MIRROR and data.mirrors.mnist are empty"]


def test_the_progress_is_shown_to_a_person_only(server: Server, tmp_path: Path) -> None:
    server.replies["a.gz"] = [body(CONTENT)]
    program = (
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from pipeline.core.datasets import Published\n"
        "from pipeline.download.sources import collect\n"
        f"collect(SimpleNamespace(published={FILE!r}), {{{server.address!r}: 'test'}}, Path('raw'))\n"
    )
    for seen_by_a_person in (True, False):
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        os.set_blocking(controller, False)
        folder = tmp_path / str(seen_by_a_person)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=terminal if seen_by_a_person else subprocess.PIPE,
            check=True,
        )
        assert done.stdout == b""
        if seen_by_a_person:
            assert b"a.gz:   0%" in os.read(controller, 10_000)
        else:
            assert done.stderr == b""
        os.close(terminal)
        os.close(controller)


@needs_mnist
def test_mnist_is_taken_from_the_mirror_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    working_folder(tmp_path, monkeypatch, **{"mirrors.mnist": ["http://127.0.0.1:9/never/asked"]})
    monkeypatch.setenv("MNIST_MIRROR", str(MNIST_FOLDER))

    download(Path("raw"))

    assert capsys.readouterr().out == (
        f"download: 4 of 4 mnist files from {MNIST_FOLDER} (MNIST_MIRROR); their SHA-256 is right\n"
    )
    assert sorted(file.name for file in Path("raw").iterdir()) == sorted(file.name for file in MNIST.files)
    assert all(
        (Path("raw") / f.name).read_bytes() == (MNIST_FOLDER / f.name).read_bytes() for f in MNIST.files
    )


def test_digits_need_neither_mirror_nor_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    working_folder(tmp_path, monkeypatch, dataset="digits", validation_size=300, **{"mirrors.mnist": []})

    download(Path("raw"))

    images, labels = raw_files.read(Path("raw"), DIGITS.test)
    assert (len(images), len(labels)) == (297, 297)
    assert capsys.readouterr().out == "download: the digits sample that scikit-learn ships, written to raw\n"


def test_the_command_line_lists_every_source_and_leaves_with_75(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working_folder(tmp_path, monkeypatch, **{"mirrors.mnist": ["../gone", "ftp://localhost/"]})

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "download", "data/raw"],
        env={"PYTHONPATH": str(ROOT), "MNIST_MIRROR": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 75
    assert done.stdout == ""
    assert done.stderr == (
        "error: expected MNIST's files, could not get train-images-idx3-ubyte.gz, "
        "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz:\n"
        "  /nowhere (MNIST_MIRROR): no such folder\n"
        "  ../gone (data.mirrors.mnist): no such folder\n"
        "  ftp://localhost/ (data.mirrors.mnist): expected a folder, or an address that begins with http:// "
        "or https://\n"
        "Two ways out:\n"
        "  MNIST_MIRROR=<folder or address> dvc repro   takes the four files from there\n"
        "  make demo   runs the whole pipeline on a small sample that needs no network\n"
    )
    assert list((tmp_path / "data" / "raw").iterdir()) == []


@needs_mnist
@pytest.mark.hard
def test_a_data_set_that_was_there_once_is_there_without_a_network_whatever_lies_in_data_own(
    project: Path,
) -> None:
    def scaled(dataset: str) -> str:
        reading.override(project / "params.yaml", {"data.dataset": dataset})
        done = run_dvc(project, "repro", "scale")
        assert done.returncode == 0, done.stdout + done.stderr
        return files.sha256(project / "data/scaled")

    table = {"x_train": np.random.default_rng(0).normal(size=(600, 4)), "y_train": np.arange(600) % 3}
    mirrors = {"data.mirrors.mnist": [str(MNIST_FOLDER)], "data.validation_size": 60}
    reading.override(project / "params.yaml", mirrors)
    first = {"mnist": scaled("mnist"), "digits": scaled("digits")}
    reading.override(project / "params.yaml", {"data.mirrors.mnist": ["http://127.0.0.1:9/"]})

    np.savez(project / "data/own/table.npz", **table)
    assert scaled("mnist") == first["mnist"]
    mine = scaled("own")
    assert mine not in first.values()
    assert {dataset: scaled(dataset) for dataset in first} == first
    np.savez(project / "data/own/table.npz", **table | {"y_train": np.arange(600) % 5})
    assert scaled("mnist") == first["mnist"]
    assert scaled("own") != mine
