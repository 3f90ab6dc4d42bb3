"""Digests: which data a configuration reads, and which run it asks for."""

import hashlib
import json
from typing import Any

from export.contract.manifest import checksum
from training.config import TrainConfig
from training.files import named_files


def data_digest(config: TrainConfig) -> str:
    """Return the SHA-256 of names and contents of the data folder's files that `config` reads.

    Each member names its own, as `data_files`. A file is known by its name in the configuration,
    so where the folder lies does not count; nor does one that is not there.
    """
    files = {name: config.data.folder / name for _, name in named_files(config)}
    return _digest({name: checksum(path) for name, path in files.items() if path.is_file()})


def run_digest(config: TrainConfig) -> str:
    """Return the SHA-256 of all that a run is made of: its configuration and its data."""
    raw = config.model_dump(mode="json")
    raw["data"].pop("folder")
    return _digest({"config": raw, "data": data_digest(config)})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
