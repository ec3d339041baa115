"""What changed from one verdict.json to another, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.text import wording
from pipeline.report.text.summary import escape

_FACTS = {
    "dataset": "Data set",
    "input_shape": "Input shape",
    "classes": "Classes",
    "network": "Network",
    "optimizer": "Optimizer",
    "schedule": "Schedule",
    "chosen_on": "Chosen on",
    "criterion": "Criterion",
    "seeds": "Seeds",
    "epochs": "Epochs",
}


def render(before: Mapping[str, Any] | None, after: Mapping[str, Any], revision: str) -> str:
    """Render what changed since `revision`, whose verdict is None if it had none yet."""
    if before is None:
        changes = "That revision has no verdict yet."
    else:
        changes = "\n".join(f"- {change}" for change in list_changes(before, after))
    nothing = "Nothing: the same choice, statuses and accuracies."
    return f"### Changed against {escape(revision)}\n\n{changes or nothing}\n"


def list_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say each change in a sentence, escaped for Markdown; none where the two say the same."""
    before = {**after, **before}  # what an older verdict does not say has not changed
    sentences = [
        f"{noun}: {before[key]} before, {after[key]} now."
        for key, noun in _FACTS.items()
        if before.get(key) != after.get(key)
    ]
    for key, said in (("equivalent", "Equivalent to"), ("indistinguishable", "Not distinguishable from")):
        near = [_rates(verdict.get(key)) for verdict in (before, after)]
        if near[0] != near[1]:
            sentences.append(f"{said} it: {near[0]} before, {near[1]} now.")
    if before.get("settled") != after.get("settled"):
        sentences.append(
            f"The verdict is {'settled now' if after.get('settled') else 'not settled any more'}."
        )
    sentences += _list_rates(before.get("rates") or {}, after.get("rates") or {})
    old, new = (verdict.get("learning_rate") for verdict in (before, after))
    if old != new:
        sentences.insert(0, f"The choice changed: {_rate(old)} before, {_rate(new)} now.")
    elif sentences:
        sentences.insert(0, f"The choice is still {_rate(new)}.")
    return [escape(sentence) for sentence in sentences]


def _list_rates(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    sentences = [f"{name.removeprefix('lr-')} is new." for name in after if name not in before]
    sentences += [f"{name.removeprefix('lr-')} is gone." for name in before if name not in after]
    for name in (name for name in after if name in before):
        old, new = {**after[name], **before[name]}, after[name]
        parts = []
        if old["status"] != new["status"]:
            parts.append(f"{old['status']} before, {new['status']} now")
        for noun in ("validation accuracy", "test accuracy"):
            values = [_value(rate.get(noun.replace(" ", "_"))) for rate in (old, new)]
            if values[0] != values[1]:
                shown = ["none" if value is None else wording.percent(value) for value in values]
                parts.append(f"{noun} {shown[0]} before, {shown[1]} now{_difference(*values)}")
        if parts:
            sentences.append(f"{name.removeprefix('lr-')}: {'; '.join(parts)}.")
    return sentences


def _difference(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    return f" ({wording.points(after - before, 3)} points)"


def _value(entry: Any) -> float | None:
    value = entry.get("mean") if isinstance(entry, Mapping) else entry
    return None if value is None else float(value)


def _rate(value: float | None) -> str:
    return "none" if value is None else wording.rate(value)


def _rates(values: Sequence[float] | None) -> str:
    return "unknown" if values is None else wording.rates(values) or "none"
