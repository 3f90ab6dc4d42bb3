"""The run that another one grows from: what it knew, and what of that goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.contract.bundle import BundleLayout
from export.contract.errors import ConfigError
from export.contract.features import Feature
from export.contract.manifest import checksum
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from export.contract.side import SIDES, SideName
from training.config import TrainConfig, parse_config
from training.document import parse_yaml
from training.growing.kinship import Kinship, place_of


@dataclass(frozen=True)
class Parent:
    """A finished run, opened for a configuration whose training goes on from it.

    `name` is its folder's, `digest` the SHA-256 of its weights. `kin` says what goes on.
    """

    name: str
    digest: str
    config: TrainConfig
    schema: Schema
    weights: dict[str, Tensor]
    kin: Kinship

    @property
    def line(self) -> str:
        """The first line of the `config.yaml` of a run that grows from it."""
        return f"# grown from {self.name}, whose weights have the SHA-256 {self.digest}\n"

    def words(self, table: str) -> tuple[str, ...]:
        """Return the words of a table that goes on, in row order; none of any other."""
        return () if self.kin.tables.get(table, "new") else self.schema.tables.get(table, ())

    def going_on(self, side: SideName, name: str, feature: Feature) -> Feature:
        """Return a feature with the scale it was learned with, if it goes on."""
        known = self.schema.side(side).features.get(name)
        if known is None or self.kin.features.get(place_of(self.config, side, name), "moved"):
            return feature
        return feature.going_on(known)  # type: ignore[arg-type]  # of one kind, as it goes on

    def left_behind(self, config: TrainConfig) -> list[str]:
        """Return its features, by `side.group.name`, that a configuration does not have."""
        return [
            place_of(self.config, side, name)
            for side in SIDES
            for name in self.config.side(side).features
            if name not in config.side(side).features
        ]

    def facts(self, schema: Schema) -> dict[str, Any]:
        """Return what the metrics of a run with this schema keep of where it grew from."""
        going = [table for table, why in self.kin.tables.items() if not why]
        fresh = {f"table {table}": why for table, why in self.kin.tables.items()}
        return {
            "run": self.name,
            "digest": self.digest,
            "tables": {
                table: {"kept": (kept := self.schema.rows(table)), "new": schema.rows(table) - kept}
                for table in going
            },
            "features": [feature for feature, why in self.kin.features.items() if not why],
            "fresh": {name: why for name, why in (fresh | self.kin.features).items() if why},
        }


def open_parent(folder: Path, config: TrainConfig, out: Path) -> Parent:
    """Open a run, to go on from it with another configuration in the folder `out`.

    Raises:
        ConfigError: It is no finished run, it is `out` itself, its vectors are of another sort,
            or nothing of it goes on.
    """
    where, layout = f"--from {folder}", RunLayout(folder)
    if folder.resolve() == out.resolve():
        raise ConfigError(f"{where}: is --out as well; a run grows in a folder of its own")
    if BundleLayout(folder).manifest.is_file():
        raise ConfigError(f"{where}: a bundle, which has no weights; give the run it was made of")
    if not layout.config.is_file():
        raise ConfigError(f"{where}: no run here (config.yaml is missing)")
    for member in (layout.metrics, layout.schema, layout.weights):
        if not member.is_file():
            raise ConfigError(
                f"{where}: no finished run here ({member.name} is missing); finish it by --resume"
            )
    known = parse_config(parse_yaml(layout.config.read_text(encoding="utf-8")), layout.config)
    _check(config, known, where)
    kin = Kinship.of(config, known)
    if kin.is_none:
        raise ConfigError(
            f"{where}: no feature and no table here is one of its own by name, kind and width; "
            "name alike what means the same, or train without --from"
        )
    return Parent(
        name=folder.resolve().name,
        digest=checksum(layout.weights),
        config=known,
        schema=read_schema(layout.schema),
        weights=torch.load(layout.weights, weights_only=True),
        kin=kin,
    )


def _check(config: TrainConfig, known: TrainConfig, where: str) -> None:
    """Refuse what no weight of the other run could be used for."""
    if config.similarity != known.similarity:
        raise ConfigError(
            f"similarity: got {config.similarity!r}, but {where} was trained by "
            f"{known.similarity!r}; its vectors say nothing by another"
        )
    own = ("user_tower", "item_tower")
    for place, tower, there in zip(own, config.towers, known.towers, strict=True):
        key = place if getattr(config, place) is not None else "tower"
        for option in ("kind", "dim"):
            got, expected = getattr(tower, option), getattr(there, option)
            if got != expected:
                raise ConfigError(
                    f"{key}.{option}: got {got!r}, but the {place} of {where} has {expected!r}; "
                    "keep it, or train without --from"
                )
