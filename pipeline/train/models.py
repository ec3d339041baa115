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
    into config.json, where they say which parts are one object. Times are set to fixed values, addresses to
    small numbers in their order. The file loads with plain `keras.models.load_model`.
    """
    numbers: dict[int, int] = {}

    def renumber(config: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in config:
            config["shared_object_id"] = numbers.setdefault(config["shared_object_id"], len(numbers) + 1)
        return config

    with files.replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            entries = {name: archive.read(name) for name in sorted(archive.namelist())}
        metadata = json.loads(entries["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
        entries["metadata.json"] = json.dumps(metadata).encode()
        entries["config.json"] = json.dumps(json.loads(entries["config.json"], object_hook=renumber)).encode()
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
