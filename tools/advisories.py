"""Advisories in OSV's format (https://ossf.github.io/osv-schema), as JSON or YAML, held against packages."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import DataError

_SUFFIXES = {".json", ".yaml", ".yml"}
_NAMED = re.compile(r"""\bname["']?\s*:\s*["']?([\w.-]+)""")


class Package(NamedTuple):
    """Attributes:

    group: the smallest lock that holds it.
    """

    name: str
    version: str
    group: str
    licence: str


def files(folder: Path) -> list[Path]:
    """The folder's advisories; what is hidden, such as the workflows of a clone, is none."""
    found = (path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    return sorted(path for path in found if "/." not in f"/{path.relative_to(folder).as_posix()}")


def read(paths: Iterable[Path], names: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """The advisories about these packages; YAML is slow to read, and there are thousands about others.

    Raises:
        DataError: a file is no advisory; one that is skipped is one that nobody looks at.
    """
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if not {canonicalize_name(name) for name in _NAMED.findall(text)} & set(names):
            continue
        try:
            # `base` leaves every value a text: as a number, version 1.10 would be 1.1.
            found = json.loads(text) if path.suffix == ".json" else YAML(typ="base", pure=True).load(text)
        except (ValueError, YAMLError) as error:
            raise DataError(
                f"{path}: expected an advisory (OSV's format), got: {error}. Fetch the folder again."
            ) from error
        if not isinstance(found, dict) or not {"id", "affected"} <= set(found):
            raise DataError(
                f"{path}: expected an advisory (OSV's format) with id and affected, got something else. "
                "Leave only advisories in the folder."
            )
        yield found


def audit(found: Sequence[Package], advisories: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each package that an advisory is about."""
    known = {one.name: [other for other in found if other.name == one.name] for one in found}
    return sorted(
        {
            f"{one.name} {one.version} ({one.group}): {advisory['id']}: "
            f"{advisory.get('summary') or advisory.get('details', '').partition(chr(10))[0]}"
            for advisory in advisories
            if advisory.get("withdrawn") in (None, "", "null", "~")
            for affected in advisory.get("affected", ())
            if affected.get("package", {}).get("ecosystem") == "PyPI"
            for one in known.get(canonicalize_name(affected["package"]["name"]), ())
            if is_affected(one.version, affected)
        }
    )


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """Whether a version is listed, or lies in one of the ranges (OSV's rules for `ECOSYSTEM`)."""
    if version in affected.get("versions", ()):
        return True
    return any(
        _is_inside(Version(version), limits["events"])
        for limits in affected.get("ranges", ())
        if limits.get("type") == "ECOSYSTEM"
    )


def _is_inside(version: Version, events: Sequence[Mapping[str, str]]) -> bool:
    inside = False
    try:
        ordered = sorted(events, key=_when)
    except InvalidVersion:
        return True  # a limit that cannot be compared: somebody has to look
    for event in ordered:
        kind, limit = next(iter(event.items()))
        if kind == "introduced" and (limit == "0" or version >= Version(limit)):
            inside = True
        elif (kind == "fixed" and version >= Version(limit)) or (
            kind == "last_affected" and version > Version(limit)
        ):
            inside = False
    return inside


def _when(event: Mapping[str, str]) -> tuple[Version, bool]:
    kind, limit = next(iter(event.items()))
    return Version(limit), kind != "introduced"
