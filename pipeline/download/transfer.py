"""One published file from one source, checked before it gets its name."""

import contextlib
import queue
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pooch
import requests
import urllib3
from tqdm import tqdm

from pipeline.core import files
from pipeline.core.datasets import File, Published

CHUNK = 1 << 16
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP answers that may be another one a little later."""


class FileRefusedError(Exception):
    """The source does not have this file as it was published; it may have others."""


class SourceDownError(Exception):
    """The source does not answer, or is none; asking it for another file would only take time."""


class Patience(NamedTuple):
    """How long a source may take.

    Attributes:
        wait: seconds until an answer begins, name look-up and all the host's addresses included; also the
            longest silence while it comes.
        slowest: bytes per second, on average after the first `wait` seconds.
        retries: further attempts where one may help, after a pause of 1 second, then 2, and so on.
    """

    wait: float = 15
    slowest: float = 20_000
    retries: int = 2


def fetch(file: File, address: str, folder: Path, patience: Patience) -> None:
    """Put the file into `folder` under its name.

    Args:
        address: an http(s) address, or a folder relative to the repository's root.

    Raises:
        FileRefusedError: missing there, or other bytes than those published.
        SourceDownError: the source as a whole cannot be used.
    """
    if file.published is None:
        raise FileRefusedError("not a published file")
    expected = file.published
    remote = "://" in address
    if remote and not address.lower().startswith(("http://", "https://")):
        raise SourceDownError("expected a folder, or an address that begins with http:// or https://")
    pooch.get_logger().setLevel("WARNING")  # what came from where is said once, by the stage

    def deliver(url: str, path: str, _pooch: object) -> None:
        # pooch made the file readable for its owner alone; anew, it gets the permissions of any output.
        Path(path).unlink()
        with Path(path).open("xb") as stream:
            if remote:
                _download(url, stream, expected, patience, file.name)
            else:
                _copy(_folder(address) / file.name, stream, expected)

    chest = pooch.create(
        path=folder,
        base_url=address,
        registry={file.name: f"sha256:{expected.sha256}"},
        retry_if_failed=patience.retries if remote else 0,
    )
    try:
        chest.fetch(file.name, downloader=deliver)
    except requests.RequestException as error:
        raise SourceDownError(_reason(error)) from error
    except ValueError as error:  # pooch's word for another hash
        raise FileRefusedError(
            f"expected the SHA-256 {expected.sha256}, got as many bytes with another one"
        ) from error
    except OSError as error:
        raise SourceDownError(_reason(error)) from error


def _folder(address: str) -> Path:
    return files.repository() / Path(address).expanduser()


def _copy(path: Path, stream: BinaryIO, expected: Published) -> None:
    if not path.parent.is_dir():
        raise SourceDownError("no such folder")
    if not path.is_file():
        raise FileRefusedError("no such file")
    if (size := path.stat().st_size) != expected.size:
        raise FileRefusedError(f"expected {expected.size:,} bytes, got {size:,}")
    with path.open("rb") as source:
        shutil.copyfileobj(source, stream)


def _download(url: str, stream: BinaryIO, expected: Published, patience: Patience, name: str) -> None:
    """Raises:
    requests.RequestException: another attempt may help.
    FileRefusedError, SourceDownError: it will not.
    """
    with _answer(url, patience) as response:
        if response.status_code in PASSING:
            response.raise_for_status()
        if response.status_code != 200:
            raise FileRefusedError(f"expected the file, got HTTP {response.status_code} {response.reason}")
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != expected.size:
            raise FileRefusedError(
                f"expected {expected.size:,} bytes, the server announces {int(announced):,}"
            )
        with tqdm(
            total=expected.size, desc=name, unit="B", unit_scale=True, leave=False, disable=None
        ) as bar:
            for chunk in _chunks(response, patience, expected.size):
                stream.write(chunk)
                bar.update(len(chunk))
    if stream.tell() < expected.size:
        raise requests.ConnectionError(f"expected {expected.size:,} bytes, got {stream.tell():,}")


def _chunks(response: requests.Response, patience: Patience, size: int) -> Iterator[bytes]:
    """The bytes as they were sent; requests would unpack a .gz that the server labels as an encoding."""
    until = time.monotonic() + patience.wait + size / patience.slowest
    received = 0
    while True:
        try:
            chunk = response.raw.read1(CHUNK)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        if not chunk:
            return
        received += len(chunk)
        if received > size:
            raise FileRefusedError(f"expected {size:,} bytes, the server sends more")
        if time.monotonic() > until:
            raise SourceDownError(
                f"too slow: {received:,} of {size:,} bytes, under {patience.slowest:,.0f} bytes a second"
            )
        yield chunk


@contextlib.contextmanager
def _answer(url: str, patience: Patience) -> Iterator[requests.Response]:
    """Ask, and wait for the head of the answer.

    In a thread, because no timeout of requests bounds the whole: the one for connecting counts anew for each
    address of the host, and looking up the name has none. A thread that is given up ends with the process.
    """
    answers: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            # The bytes as they are stored; no compression on top that would hide their number.
            headers = {"Accept-Encoding": "identity"}
            answers.put(requests.get(url, stream=True, timeout=patience.wait, headers=headers))
        except Exception as error:  # handed to the thread that waits
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=patience.wait)
    except queue.Empty:
        answer = requests.Timeout()
    if isinstance(answer, requests.Timeout):  # another attempt would double the wait
        raise SourceDownError(f"no answer within {patience.wait:g} seconds")
    if isinstance(answer, requests.RequestException):
        raise answer
    if isinstance(answer, Exception):
        raise SourceDownError(_reason(answer)) from answer
    with answer:
        yield answer


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom: requests and urllib3 wrap the cause in layers of their own."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
