"""What the study rests on: packages, licences, known holes; from the lock files and what is installed.

    python -m tools.supply_chain write           docs/licences.md and docs/sbom.cdx.json anew
    python -m tools.supply_chain audit FOLDER    the locks against advisories in OSV's format; no network

The bill of materials is CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json). Advisories are files
(JSON or YAML) as https://ossf.github.io/osv-schema describes them, for example the Python Packaging Advisory
Database.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from tools import advisories
from tools.advisories import Package

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "installer": "requirements-uv.lock",
    "runtime": "requirements.lock",
    "ray": "requirements-ray.lock",
    "dev": "requirements-dev.lock",
}
"""What installs the others; then from the smallest to the largest, each of which contains those before it."""

SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "GPLv2 with linking exception": "GPL-2.0-only WITH GCC-exception-2.0",
    "GPLv2 | EPLv1": "GPL-2.0-only OR EPL-1.0",
    "LGPL with exceptions": "LGPL-3.0-or-later",  # the exceptions only add to what is allowed
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "New BSD": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
}
"""What packages write, and how SPDX spells it; a bare BSD is taken for its three-clause form."""

KNOWN = {
    "huey": "MIT",
    "namex": "Apache-2.0",
    "pywin32": "PSF-2.0",
    "pyyaml-ft": "MIT",
    "skops": "MIT",
    "waitress": "ZPL-2.1",
}
"""Packages whose metadata do not say it, or that other systems install; read in their own files."""


def read_lock(text: str) -> list[tuple[str, str]]:
    """Names and versions; a package has two versions where Pythons need different ones."""
    return re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", text, re.MULTILINE)


def packages() -> list[Package]:
    found: dict[tuple[str, str], Package] = {}
    for group, lock in LOCKS.items():
        for name, version in read_lock((ROOT / lock).read_text(encoding="utf-8")):
            found.setdefault((name, version), Package(name, version, group, licence(name)))
    return sorted(found.values())


def licence(name: str) -> str:
    """The licence as SPDX spells it; what the package itself says, where it says it."""
    if name in KNOWN:
        return KNOWN[name]
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "unknown"
    said = facts.get("License-Expression") or facts.get("License") or ""
    if not said or len(said) > 60 or "\n" in said:  # some put the whole text there
        classes = [line for line in facts.get_all("Classifier", []) if line.startswith("License ::")]
        said = " AND ".join(line.rpartition(" :: ")[2] for line in classes)
    return SPELLINGS.get(said, said) or "unknown"


def licences(found: Sequence[Package]) -> str:
    """docs/licences.md."""
    rows = [f"| {one.name} | {one.version} | {one.group} | {one.licence} |" for one in found]
    return "\n".join(
        [
            "# Licences",
            "",
            "Every package that `make` installs, from the lock files and the packages' own metadata.",
            "Set `installer` is what installs the others.",
            "`python -m tools.supply_chain write` makes this list and `sbom.cdx.json`, the same as a bill of",
            "materials (CycloneDX 1.5); `tests/test_supply_chain.py` keeps both true.",
            "",
            "The study itself is under the MIT licence and ships none of these packages. Those under a",
            "copyleft licence are used as they are: the MPL ones, `pygit2` (GPL with an exception for",
            "linking), and `asyncssh`, `dulwich` and `grandalf`, which leave the choice of another licence.",
            "",
            "| package | version | set | licence |",
            "|:--|:--|:--|:--|",
            *rows,
            "",
        ]
    )


def bill(found: Sequence[Package]) -> dict[str, Any]:
    """The bill of materials; the hashes of every file are in the lock files, which it names by their own."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "learning-rate-study", "bom-ref": "study"},
            "properties": [
                {"name": f"sha256:{lock}", "value": hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()}
                for lock in LOCKS.values()
            ],
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{one.name}@{one.version}",
                "name": one.name,
                "version": one.version,
                "purl": f"pkg:pypi/{one.name}@{one.version}",
                "scope": "required" if one.group == "runtime" else "optional",
                "licenses": [{"expression": one.licence}],
            }
            for one in found
        ],
    }


def write() -> None:
    found = packages()
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "licences.md").write_text(licences(found), encoding="utf-8")
    (ROOT / "docs" / "sbom.cdx.json").write_text(json.dumps(bill(found), indent=1) + "\n", encoding="utf-8")


def _audit(found: Sequence[Package], folder: Path) -> list[str]:
    if not (paths := advisories.files(folder)):
        raise DataError(
            f"{folder}: expected advisories (*.json or *.yaml, OSV's format), found none. "
            "Name the folder of a downloaded database."
        )
    return advisories.audit(found, advisories.read(paths, {one.name for one in found}))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.supply_chain", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="docs/licences.md and docs/sbom.cdx.json anew")
    commands.add_parser("audit", help="the locks against advisories").add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.command == "write":
        write()
        return 0
    try:
        lines = _audit(found := packages(), chosen.folder)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines) if lines else f"{len(found)} packages, none of them in an advisory")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
