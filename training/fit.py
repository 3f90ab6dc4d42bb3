"""The schema is fitted: vocabularies, means, edges and priors, from train rows only."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.contract.errors import ConfigError
from export.contract.features import Feature, FeatureKind, Raw
from export.contract.schema import Schema, Side, SideName, shared_tables
from export.contract.statistics import Identity, Last, Profile, matches
from training.config import TrainConfig
from training.data import Data
from training.ragged import Ragged
from training.statistics import Log, compute, fit, rule_for


@dataclass(frozen=True)
class TrainView:
    """The data as training may see it: the log's train rows, and the entities in them."""

    data: Data
    log: Log

    def entities(self, side: SideName) -> Any:
        """Return the positions of the users or items that have a train row, ascending."""
        return np.unique(self.log.ids(side)[self.log.is_train])

    def records(self, side: SideName) -> list[dict[str, Raw]]:
        """Return their records."""
        table = self.data.users if side == "user" else self.data.items
        return [table.records[position] for position in self.entities(side)]


def fit_schema(config: TrainConfig, data: Data, log: Log) -> Schema:
    """Learn what raw values mean, from the log's train rows and the entities in them.

    Raises:
        ConfigError: A content feature holds the entity's own id, and `allow_id` does not say so.

    """
    view = TrainView(data, log)
    if not config.allow_id:
        for name, side in _sides(config):
            _refuse_ids(view, name, side)
    sides = {name: _fit_side(view, name, side) for name, side in _sides(config)}
    tables = {
        table: _vocabulary(view, sides, uses)
        for table, uses in shared_tables(list(sides.items())).items()
    }
    return Schema(
        user=sides["user"],
        item=sides["item"],
        dim=config.towers[0].dim,
        similarity=config.similarity,
        tables=tables,
        rules={name: str(rule_for(log, name)) for name in sides},
    )


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
    return Side(**fitted)


def _fit_feature(view: TrainView, side: SideName, name: str, feature: Feature) -> Feature:
    if feature.statistic is not None:
        statistic = fit(feature.statistic, view.log)
        feature = feature.model_copy(update={"statistic": statistic})
        if statistic.gives != "number":
            return feature
        values = compute(statistic, view.log, side, np.flatnonzero(view.log.is_train))
        assert not isinstance(values, Ragged)
        return feature.fit(values[~np.isnan(values)].tolist())
    return feature.fit(_known(view, side, name, feature))


def _known(view: TrainView, side: SideName, name: str, feature: Feature) -> list[Raw]:
    """Return a feature's values: as the interactions carry them, else of the entities."""
    carried = view.data.interactions.carried[side].get(name)
    if carried is not None:
        return carried.at(view.log.is_train)
    return [record.get(name) for record in view.records(side)]


def _vocabulary(
    view: TrainView, sides: dict[SideName, Side], uses: list[tuple[SideName, str]]
) -> tuple[str, ...]:
    """Return the words that all features of a table know, the most frequent first."""
    counts: Counter[str] = Counter()
    limits = []
    for side, name in uses:
        feature = sides[side].features[name]
        limits.append(getattr(feature, "min_count", 1))
        counts.update(_word_counts(view, sides, side, name))
    kept = [(word, count) for word, count in counts.items() if count >= min(limits)]
    return tuple(word for word, _ in sorted(kept, key=lambda entry: (-entry[1], entry[0])))


def _word_counts(
    view: TrainView, sides: dict[SideName, Side], side: SideName, name: str
) -> Counter[str]:
    feature = sides[side].features[name]
    if isinstance(feature.statistic, Profile):
        of = sides["item"].features[feature.statistic.of]
        return _counted(of, _known(view, "item", feature.statistic.of, of))
    if isinstance(feature.statistic, Identity):
        clicked = view.log.is_train & (view.log.label > 0)
        return _id_counts(view, side, view.log.ids(side)[clicked])
    if isinstance(feature.statistic, Last):
        met = view.log.is_train & matches(feature.statistic.where, view.log.facts(), len(view.log))
        return _id_counts(view, "item" if side == "user" else "user", view.log.others(side)[met])
    return _counted(feature, _known(view, side, name, feature))


def _id_counts(view: TrainView, side: SideName, positions: Any) -> Counter[str]:
    ids = (view.data.users if side == "user" else view.data.items).ids
    found, counts = np.unique(positions, return_counts=True)
    return Counter({ids[one]: int(count) for one, count in zip(found, counts, strict=True)})


def _counted(feature: FeatureKind, values: Iterable[Raw]) -> Counter[str]:
    return Counter(word for value in values for word in feature.words(value))
