"""Keras files whose bytes depend on nothing but the model."""

import json
import zipfile
from pathlib import Path
from typing import Any

from pipeline.core import files

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can hold


def write(path: Path, model: Any) -> None:
    """Save a Keras model as a .keras file.

    Keras puts the time of saving into metadata.json and into each zip entry, and objects' addresses in memory
    into config.json, where they tell which parts are one object. Times are set to fixed values, addresses to
    small numbers in their order. The file loads with plain `keras.models.load_model`.
    """
    with files.replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            entries = {name: archive.read(name) for name in sorted(archive.namelist())}
        metadata = json.loads(entries["metadata.json"])
        metadata["date_saved"] = "1980-01-01@00:00:00"
        entries["metadata.json"] = json.dumps(metadata).encode()
        addresses: dict[int, int] = {}
        config = _renumbered(json.loads(entries["config.json"]), addresses)
        entries["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _renumbered(value: Any, addresses: dict[int, int]) -> Any:
    """Replace each `shared_object_id` by the order in which it first appears, everywhere in a config."""
    match value:
        case dict():
            return {
                key: addresses.setdefault(item, len(addresses) + 1)
                if key == "shared_object_id"
                else _renumbered(item, addresses)
                for key, item in value.items()
            }
        case list():
            return [_renumbered(item, addresses) for item in value]
        case _:
            return value
