"""How the files of an output differ between two trainings: which, from which epoch on, and by how much."""

import json
from pathlib import Path
from typing import Any

from pipeline.core import runs
from pipeline.verify.hashes import Files


def describe(before: Files, after: Files) -> list[str]:
    """Say of each file that differs in what and, where that can be said, by how much."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in after:
            lines.append(f"{name}: missing in the rerun")
        elif name not in before:
            lines.append(f"{name}: new in the rerun")
        elif (old := before[name].read_bytes()) != (new := after[name].read_bytes()):
            said = f"differs ({len(old):,} bytes before, {len(new):,} in the rerun)"
            try:
                if name == runs.HISTORY:
                    said = first_difference(before[name], after[name])
                elif name.endswith(".json"):
                    said = _changed_values(json.loads(old), json.loads(new))
            except ValueError as error:
                said += f"; one of the two cannot be read: {error}"
            lines.append(f"{name}: {said}")
    return lines


def first_difference(before: Path, after: Path) -> str:
    """Say of two history.csv in which epoch they part, in what, and by how much.

    Raises:
        ValueError: one of them is not a table.
    """
    import pandas as pd

    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (before, after))
    if list(old) != list(new):
        return "the columns differ"
    common = min(len(old), len(new))
    differs = old[:common] != new[:common]
    if not differs.to_numpy().any():
        return f"the same up to epoch {common}, {len(old)} epochs before and {len(new)} in the rerun"
    row = int(differs.any(axis="columns").to_numpy().argmax())
    parts = [_change(str(name), old[name][row], new[name][row]) for name in old if differs[name][row]]
    return f"differs from epoch {row + 1} on: {', '.join(parts)}"


def _changed_values(before: Any, after: Any) -> str:
    from dvc.utils.flatten import flatten

    old, new = (flatten({"": value}) for value in (before, after))
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    shown = 4
    parts = [_change(key.removeprefix("."), old.get(key), new.get(key)) for key in keys[:shown]]
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return (", ".join(parts) + more) or "differs in its form"


def _change(name: str, before: Any, after: Any) -> str:
    try:
        by = f" ({float(after) - float(before):+.3g})"
    except (TypeError, ValueError):
        by = ""
    return f"{name} {before} before, {after} in the rerun{by}"
