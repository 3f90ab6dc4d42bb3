"""What is evaluated: the towers of a run or a bundle, and the rows they are measured on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import load

from export.contract.bundle import BundleLayout, read_manifest
from export.contract.errors import BundleError, ConfigError
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.session import open_session
from export.contract.side import Record, SideName
from training.batches import tensors
from training.config import TrainConfig, parse_config
from training.digest import data_digest
from training.document import parse_yaml
from training.encoder import Encoder
from training.ranker.opened import Rankers, bundle_rankers, run_rankers

CHUNK = 2048
SIDES: tuple[SideName, ...] = ("user", "item")

Vectors = NDArray[np.float32]


class Towers(Protocol):
    """Raw records in, unit vectors out: of a run or of a bundle."""

    schema: Schema

    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Return float32[records, dim]; preference counts wherever it is known."""


class RunTowers:
    """The encoder graphs and tower programs of a run."""

    def __init__(self, layout: RunLayout) -> None:
        self.schema = read_schema(layout.schema)
        self._encoders = {side: Encoder(self.schema, side) for side in SIDES}
        self._programs = {side: load(layout.tower(side)).module() for side in SIDES}

    @torch.no_grad()
    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Encode, then run the program."""
        features = self.schema.side(side)
        arrays = self._encoders[side].encode(records)
        if features.preference:
            present = [[features.has_preference(record)] for record in records]
            arrays["present"] = np.array(present)
        inputs = tensors({name: arrays[name] for name in features.encoded})
        vectors: Vectors = self._programs[side](inputs).numpy()
        return vectors


class BundleTowers:
    """The tower files of a bundle."""

    def __init__(self, layout: BundleLayout) -> None:
        read_manifest(layout.folder)
        self.schema = read_schema(layout.schema)
        self._sessions = {side: open_session(layout.tower(side)) for side in SIDES}

    def embed(self, side: SideName, records: Sequence[Record]) -> Vectors:
        """Run the tower file."""
        features = self.schema.side(side)
        present = [features.has_preference(record) for record in records]
        vectors: Vectors = self._sessions[side].run(["vector"], features.pack(records, present))[0]
        return vectors


@dataclass(frozen=True)
class Subject:
    """Towers, the configuration that says on which rows they are measured, and how they came.

    `epochs` are the figures of training, for whoever draws them.
    """

    name: str
    towers: Towers
    config: TrainConfig
    epochs: list[dict[str, Any]]
    rankers: Rankers = field(default_factory=dict)

    def on_rows_of(self, other: "Subject") -> "Subject":
        """Return the same towers, to be measured on the data and split of another subject."""
        update = {"data": other.config.data, "split": other.config.split}
        return replace(self, config=self.config.model_copy(update=update))


def open_subject(folder: Path, data: Path | None) -> Subject:
    """Open a run or a bundle; `data` replaces the data folder that training read.

    Raises:
        ConfigError: The folder is neither, or the data of its training is not where it lay, seen
            from the folder; other data has to be asked for.
        BundleError: It is a run that has not finished.
    """
    run, bundle = RunLayout(folder), BundleLayout(folder)
    if not run.config.is_file():
        raise ConfigError(f"{folder}: neither a run nor a bundle (config.yaml is missing)")
    if not run.metrics.is_file():
        raise BundleError(f"{folder}: no finished run here (metrics.json is missing)")
    raw = parse_yaml(run.config.read_text(encoding="utf-8"))
    if data is not None:
        raw["data"]["folder"] = str(data.resolve())
    config = parse_config(raw, run.config)
    metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    if data is None:
        _require_its_data(folder, config, metrics.get("data_digest"))
    is_bundle = bundle.manifest.is_file()
    towers = BundleTowers(bundle) if is_bundle else RunTowers(run)
    schema = towers.schema
    rankers = bundle_rankers(bundle, schema) if is_bundle else run_rankers(run, schema)
    return Subject(str(folder), towers, config, metrics.get("epochs", []), rankers)


def _require_its_data(folder: Path, config: TrainConfig, digest: str | None) -> None:
    """Refuse data that is not what training read, as far as its digest was noted."""
    where = config.data.folder
    if not where.is_dir():
        raise ConfigError(f"{folder}: its data is not at {where}; give --data DIR")
    if digest is not None and digest != data_digest(config):
        raise ConfigError(
            f"{folder}: the data at {where} is not what it was trained on (another digest); give "
            "--data DIR, a copy of that data or, to be measured on other data, this folder"
        )


def embed_all(towers: Towers, side: SideName, records: Sequence[Record]) -> Vectors:
    """Return the vectors of many records, in chunks."""
    starts = range(0, len(records), CHUNK)
    return np.concatenate([towers.embed(side, records[s : s + CHUNK]) for s in starts])
