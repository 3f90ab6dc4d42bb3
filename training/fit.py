"""The schema is fitted: vocabularies, means, edges and priors, from train rows only."""

from array import array
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from export.contract.errors import ConfigError, DataError
from export.contract.features import Feature, Mismatch, Raw
from export.contract.features.base import Made
from export.contract.features.vocabulary import MIN_COUNT, Worded
from export.contract.schema import Schema
from export.contract.sharing import shared_tables
from export.contract.side import Side, SideName
from export.contract.similarity import extra_dims
from export.contract.statistics import Identity, Last, matches
from export.contract.statistics.base import Scalar
from training.config import TrainConfig
from training.data import Data
from training.growing.parent import Parent
from training.size import check_size
from training.statistics import Log, fit, rule_for
from training.statistics.sources import Sources


@dataclass(frozen=True)
class TrainView:
    """The data as training may see it: the log's train rows, and the entities in them.

    `parent` is the run whose training goes on, if one does.
    """

    data: Data
    log: Log
    items: Side
    parent: Parent | None = None

    @cached_property
    def sources(self) -> Sources:
        """What statistics ask of the tables."""
        return Sources(self.data, self.items)

    def entities(self, side: SideName) -> Any:
        """Return the positions of the users or items that have a train row, ascending."""
        return np.unique(self.log.ids(side)[self.log.is_train])

    def records(self, side: SideName) -> list[dict[str, Raw]]:
        """Return their records."""
        table = self.data.users if side == "user" else self.data.items
        return [table.records[position] for position in self.entities(side)]

    def grown(self, table: str, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the words of a table in row order: those known before stay where they were."""
        known = () if self.parent is None else self.parent.words(table)
        return tuple(dict.fromkeys((*known, *words)))


def fit_schema(config: TrainConfig, data: Data, log: Log, parent: Parent | None = None) -> Schema:
    """Learn what raw values mean, from the log's train rows and the entities in them.

    What goes on from a parent keeps its words, each in its row, with new ones behind them, and
    its edges, means and scales; statistics and their priors are of this data.

    Raises:
        ConfigError: A content feature holds the entity's own id, and `allow_id` does not say so;
            or the tables are too large for a tower file.
        DataError: The values of a feature do not fit together.

    """
    view = TrainView(data, log, config.item, parent)
    if not config.allow_id:
        for name, side in _sides(config):
            _refuse_ids(view, name, side)
    sides = {name: _fit_side(view, name, side) for name, side in _sides(config)}
    tables = {
        table: view.grown(table, _vocabulary(view, sides, uses, config.data.folder))
        for table, uses in shared_tables(list(sides.items())).items()
    }
    schema = Schema(
        user=sides["user"],
        item=sides["item"],
        dim=config.towers[0].dim + extra_dims(config.similarity),
        similarity=config.similarity,
        tables=tables,
        rules={name: str(rule_for(log, name)) for name in sides},
    )
    check_size(config, schema)
    return schema


def _sides(config: TrainConfig) -> list[tuple[SideName, Side]]:
    return [("user", config.user), ("item", config.item)]


def _refuse_ids(view: TrainView, side_name: SideName, side: Side) -> None:
    entities = view.entities(side_name).tolist()
    table = view.data.users if side_name == "user" else view.data.items
    for name, feature in side.content.items():
        words = (feature.words(table.records[one].get(name)) for one in entities)
        if entities and all(
            list(found) == [table.ids[one]] for one, found in zip(entities, words, strict=True)
        ):
            raise ConfigError(
                f"{side_name}.content.{name}: holds the {side_name}'s own id, which is never "
                "dropped and so is an untrained vector for a cold one; make it a preference "
                "({kind: category, aggregate: identity}), or say allow_id: true"
            )


def _fit_side(view: TrainView, side_name: SideName, side: Side) -> Side:
    fitted = {
        group: {
            name: _fit_feature(view, side_name, name, feature)
            for name, feature in getattr(side, group).items()
        }
        for group in ("content", "context", "preference")
    }
    return Side(**fitted, present_when=side.present_when)


def _fit_feature(view: TrainView, side: SideName, name: str, feature: Feature) -> Feature:
    if isinstance(feature, Made):
        return feature
    if view.parent is not None:
        feature = view.parent.going_on(side, name, feature)
    if feature.statistic is not None:
        statistic = fit(feature.statistic, view.log)
        feature = feature.model_copy(update={"statistic": statistic})
        if statistic.vectors_of is not None:
            return _fit_vector(feature, view.data.vectors[statistic.vectors_of].shape[1], name)
        if statistic.gives != "number":
            return feature
        train = np.flatnonzero(view.log.is_train)
        return feature.fit(view.sources.numbers(statistic, view.log, side, train))
    try:
        return feature.fit(_known(view, side, name, feature))
    except Mismatch as mismatch:
        raise DataError(f"{side}.{name}: expected {mismatch}") from mismatch


def _fit_vector(feature: Feature, size: int, name: str) -> Feature:
    """Give a vector feature the length of the file's vectors."""
    asked = getattr(feature, "size", None)
    if asked not in (None, size):
        raise ConfigError(f"user.preference.{name}.size: got {asked}, the vectors have {size}")
    return feature.fit([array("f", [0.0] * size)])


def _known(view: TrainView, side: SideName, name: str, feature: Feature) -> list[Raw]:
    """Return a feature's values: as the interactions carry them, else of the entities."""
    carried = view.data.interactions.carried[side].get(name)
    if carried is not None:
        return carried.at(view.log.is_train)
    return [record.get(name) for record in view.records(side)]


def _made(view: TrainView, side_name: SideName, side: Side, feature: Made) -> list[Raw]:
    """Return what a feature is made to be: by row if the interactions carry a part of it."""
    sources = [side.features[name] for name in feature.made_of]
    carried = view.data.interactions.carried[side_name]
    if carried.keys() & set(feature.made_of):
        table = view.data.users if side_name == "user" else view.data.items
        entities = view.log.ids(side_name)[view.log.is_train].tolist()
        columns = [
            carried[name].at(view.log.is_train)
            if name in carried
            else [table.records[entity].get(name) for entity in entities]
            for name in feature.made_of
        ]
    else:
        records = view.records(side_name)
        columns = [[record.get(name) for record in records] for name in feature.made_of]
    return [feature.make(sources, values) for values in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Given:
    """The words that a feature's values hold."""

    side: SideName
    name: str


@dataclass(frozen=True)
class Met:
    """The ids of one side in the events that match."""

    side: SideName
    where: tuple[tuple[str, tuple[Scalar, ...]], ...]


def _vocabulary(
    view: TrainView, sides: dict[SideName, Side], uses: list[tuple[SideName, str]], folder: Path
) -> tuple[str, ...]:
    """Return the words that all features of a table know: as given, or the most frequent first.

    Each source of words counts once, however many features are made of it: a profile has the
    words of the feature it is of, and a history those of the identities in it.
    """
    features = [sides[side].features[name] for side, name in uses]
    for feature in features:
        if isinstance(feature, Worded) and feature.vocabulary == "given":
            return feature.given_words(folder)
    sources = {_source(*use, feature) for use, feature in zip(uses, features, strict=True)}
    counts = sum((_count(view, sides, source) for source in sources), Counter[str]())
    limit = min(getattr(feature, "min_count", None) or MIN_COUNT for feature in features)
    kept = [(word, count) for word, count in counts.items() if count >= limit]
    return tuple(word for word, _ in sorted(kept, key=lambda entry: (-entry[1], entry[0])))


def _source(side: SideName, name: str, feature: Feature) -> Given | Met:
    statistic = feature.statistic
    if statistic is not None and statistic.words_of is not None:
        return Given("item", statistic.words_of)
    if isinstance(statistic, Identity):
        return Met(side, (("label", (1,)),))
    if isinstance(statistic, Last):
        return Met("item" if side == "user" else "user", tuple(sorted(statistic.where.items())))
    return Given(side, name)


def _count(view: TrainView, sides: dict[SideName, Side], source: Given | Met) -> Counter[str]:
    if isinstance(source, Given):
        feature = sides[source.side].features[source.name]
        values = (
            _made(view, source.side, sides[source.side], feature)
            if isinstance(feature, Made)
            else _known(view, source.side, source.name, feature)
        )
        return Counter(word for value in values for word in feature.words(value))
    met = matches(dict(source.where), view.log.facts(), len(view.log)) & view.log.is_train
    ids = (view.data.users if source.side == "user" else view.data.items).ids
    found, counts = np.unique(view.log.ids(source.side)[met], return_counts=True)
    return Counter({ids[one]: int(count) for one, count in zip(found, counts, strict=True)})
