"""Digests: which data a configuration reads, and which run it asks for."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from export.contract.manifest import checksum
from training.config import TrainConfig


def data_digest(config: TrainConfig) -> str:
    """Return the SHA-256 of names and contents of the data folder's files that `config` names.

    A file is known by its name in the configuration, so where the folder lies does not count.
    """
    folder = config.data.folder
    names = {leaf for leaf in _leaves(config.model_dump(mode="json")) if isinstance(leaf, str)}
    files = {name: folder / name for name in names - {str(folder)}}
    return _digest({name: checksum(path) for name, path in files.items() if path.is_file()})


def run_digest(config: TrainConfig) -> str:
    """Return the SHA-256 of all that a run is made of: its configuration and its data."""
    raw = config.model_dump(mode="json")
    raw["data"].pop("folder")
    return _digest({"config": raw, "data": data_digest(config)})


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _leaves(member)
    else:
        yield value


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
