"""The published files from folders and http(s) addresses, tried in order.

pooch tries again, checks the SHA-256, and only then gives a file its name. No source is trusted: none can
fill the disk or keep silent for long.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pooch
import requests
import urllib3
from tqdm import tqdm

from pipeline.core import files
from pipeline.core.datasets import Dataset, Published
from pipeline.core.errors import DataError, DownloadError, without_login


def variable(dataset: str) -> str:
    """Name the environment's variable for a source to be tried first: MNIST_MIRROR, for example."""
    return f"{dataset.upper()}_MIRROR"


def sources(mirrors: Iterable[str], dataset: str) -> dict[str, str]:
    """List the folders and addresses to try, the environment's first, each with the name of who named it."""
    own = os.environ.get(variable(dataset), "").strip()
    named_by = f"data.mirrors.{dataset}"
    return ({own: variable(dataset)} if own else {}) | {name: named_by for name in mirrors if name != own}


def collect(
    dataset: Dataset,
    from_sources: Mapping[str, str],
    folder: Path,
    timeout: float = 10,
    retries: int = 1,
) -> dict[str, str]:
    """Bring every file of a data set into `folder`.

    Args:
        timeout: the longest silence of a server, in seconds.
        retries: further attempts after a fault that may pass, with pauses of 1 second, 2 seconds, and so on.

    Returns:
        For each file's name where it came from.

    Raises:
        DownloadError: no source has some file; lists each source with its reason.
    """
    wanted, origins = dataset.published, dict[str, str]()
    reasons: dict[str, list[str]] = {}  # with the names of the files; none: the whole source
    for address, named_by in from_sources.items():
        source = f"{without_login(address)} ({named_by})"
        for name in [name for name in wanted if name not in origins]:
            try:
                _fetch(name, wanted[name], address, folder, timeout, retries)
                origins[name] = f"from {source}"
            except DataError as error:
                reasons.setdefault(f"{source}: {error}", []).append(name)
            except OSError as error:  # those of requests are OSErrors, too
                reasons[f"{source}: {_reason(error)}"] = []
                break  # asking for another file would only take time
    if missing := [name for name in wanted if name not in origins]:
        lines = [
            f"  {why} ({', '.join(names)})\n" if names else f"  {why}\n" for why, names in reasons.items()
        ]
        no_source = f"  no source: {variable(dataset.name)} and data.mirrors.{dataset.name} are empty\n"
        raise DownloadError(
            f"expected {dataset.title}'s files, could not get {', '.join(missing)}:\n"
            f"{''.join(lines) or no_source}"
            "Two ways out:\n"
            f"  {variable(dataset.name)}=<folder or address> dvc repro   takes the four files from there\n"
            "  make demo   runs the whole pipeline on a small sample that needs no network"
        )
    return origins


def _fetch(name: str, file: Published, address: str, folder: Path, timeout: float, retries: int) -> None:
    """Put one file into `folder`.

    Raises:
        DataError: the source does not have this file as it was published; it may have others.
        OSError: the source does not answer, or cannot be one.
    """

    def transfer(url: str, path: str, _: object) -> None:
        Path(path).unlink()  # pooch made it readable by its owner alone; a new one is as any output
        bar = tqdm(total=file.size, desc=name, unit="B", unit_scale=True, leave=False, disable=None)
        with _opened(url, timeout) as source, Path(path).open("xb") as target, bar:
            while chunk := source.read(1 << 16):
                bar.update(target.write(chunk))
                if target.tell() > file.size:
                    raise DataError(f"expected {file.size:,} bytes, got more")
            if target.tell() < file.size:
                raise DataError(f"expected {file.size:,} bytes, got {target.tell():,}")

    pooch.get_logger().setLevel("WARNING")  # the stage says what came from where
    base, registry = f"{address.rstrip('/')}/", {name: f"sha256:{file.sha256}"}
    try:
        pooch.Pooch(folder, base, registry, retry_if_failed=retries).fetch(name, downloader=transfer)
    except OSError:
        raise  # some of requests are ValueErrors as well
    except ValueError as error:
        raise DataError(f"expected the SHA-256 {file.sha256}, got as many bytes with another one") from error


@contextlib.contextmanager
def _opened(url: str, timeout: float) -> Iterator[BinaryIO | urllib3.BaseHTTPResponse]:
    """Open a file in a folder or at an address.

    Not with pooch.HTTPDownloader, which unpacks a .gz that the server labels as an encoding and takes as
    many bytes as the server sends.

    Raises:
        requests.RequestException: another attempt may help.
        DataError, OSError: as in `_fetch`.
    """
    if "://" not in url:
        path = files.repository() / url
        if not path.parent.is_dir():
            raise FileNotFoundError("no such folder")
        if not path.is_file():
            unpacked = path.with_suffix("").is_file()
            but = ", but what it unpacks to: the .gz is wanted as it was published" if unpacked else ""
            raise DataError(f"no such file{but}")
        with path.open("rb") as stream:
            yield stream
    elif url.lower().startswith(("http://", "https://")):
        identity = {"Accept-Encoding": "identity"}  # the bytes as they are stored
        with requests.get(url, stream=True, timeout=timeout, headers=identity) as response:
            if 400 <= response.status_code < 500:
                raise DataError(f"expected the file, got HTTP {response.status_code} {response.reason}")
            response.raise_for_status()
            try:
                yield response.raw
            except urllib3.exceptions.HTTPError as error:
                raise requests.ConnectionError(error) from error
    else:
        raise OSError("expected a folder, or an address that begins with http:// or https://")


def _reason(error: BaseException) -> str:
    """Find what went wrong at the bottom: requests and urllib3 wrap the cause in layers of their own."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return without_login(getattr(error, "strerror", None) or str(error) or type(error).__name__)
