"""Kinship: what of one configuration another one has too, by name, kind and width."""

from dataclasses import dataclass

from export.contract.features import FeatureKind
from export.contract.features.base import Made
from export.contract.features.vocabulary import Worded
from export.contract.sharing import table_of, table_users
from export.contract.side import SIDES, SideName
from training.config import TrainConfig

Reasons = dict[str, str]
"""Why each begins afresh; "" where it goes on."""


@dataclass(frozen=True)
class Kinship:
    """Why features, by `side.group.name`, and tables, by name, begin afresh; "" if they do not."""

    features: Reasons
    tables: Reasons

    @classmethod
    def of(cls, config: TrainConfig, known: TrainConfig) -> "Kinship":
        """Hold what a configuration declares against what another one did."""
        features = {
            place_of(config, side, name): _of_feature(config, known, side, name)
            for side in SIDES
            for name in config.side(side).features
        }
        uses = table_users((side, config.side(side)) for side in SIDES)
        there = table_users((side, known.side(side)) for side in SIDES)
        words = {
            table: _of_words(config, known, of, there.get(table, []))
            for table, of in uses.items()
            if not _follows(config.side(of[0][0]).features[of[0][1]])
        }
        features |= _of_made(config, features, words)
        follow = {
            table: next(filter(None, (features[place_of(config, *use)] for use in of)), "")
            for table, of in uses.items()
            if table not in words
        }
        return cls(features, words | follow)

    @property
    def is_none(self) -> bool:
        """Whether nothing goes on."""
        return all(self.features.values()) and all(self.tables.values())


def place_of(config: TrainConfig, side: SideName, name: str) -> str:
    """Return `side.group.name`."""
    return f"{side}.{config.side(side).group_of(name)}.{name}"


def _of_feature(config: TrainConfig, known: TrainConfig, side: SideName, name: str) -> str:
    feature, there = config.side(side).features[name], known.side(side).features.get(name)
    if there is None:
        return "absent there"
    group, group_there = (one.side(side).group_of(name) for one in (config, known))
    if group != group_there:
        return f"in {group_there} there"
    if type(feature) is not type(there):
        return f"kind {there.kind} there"
    width, width_there = (_width(one, side, name) for one in (config, known))
    if width != width_there:
        return f"width {width_there} there"
    meaning = there.meaning
    others = [one for one, value in feature.meaning.items() if value != meaning.get(one)]
    return f"other {', '.join(others)} there" if others else ""


def _of_made(config: TrainConfig, features: Reasons, tables: Reasons) -> Reasons:
    """Return what is made of the rows of others, some of which begin afresh."""
    found = {}
    for side in SIDES:
        own = config.side(side).features
        for name, feature in own.items():
            for one in feature.made_of if _follows(feature) else ():
                place, source = (place_of(config, side, each) for each in (name, one))
                afresh = features[source] or tables[table_of(side, one, own[one])]
                if afresh and not features[place]:
                    found[place] = f"made of {one}, whose rows begin afresh"
    return found


def _follows(feature: FeatureKind) -> bool:
    """Say whether more than a word and a hash decides its row: edges, or the rows of sources."""
    is_hashed = feature.own_rows() is not None
    return not isinstance(feature, Worded) or (isinstance(feature, Made) and is_hashed)


def _of_words(
    config: TrainConfig,
    known: TrainConfig,
    uses: list[tuple[SideName, str]],
    there: list[tuple[SideName, str]],
) -> str:
    if not there:
        return "absent there"
    own = [config.side(side).features[name] for side, name in uses]
    others = [known.side(side).features[name] for side, name in there]
    if not {type(one) for one in own} & {type(one) for one in others}:
        return f"kind {others[0].kind} there"
    if (width := _width(known, *there[0])) != _width(config, *uses[0]):
        return f"width {width} there"
    return "" if _rows_of(own[0]) == _rows_of(others[0]) else "other vocabulary there"


def _rows_of(feature: FeatureKind) -> tuple[object, ...]:
    """Return whether words are listed or hashed, and pairs of words or words."""
    return isinstance(feature, Made), feature.own_rows()


def _width(config: TrainConfig, side: SideName, name: str) -> int:
    return config.side(side).features[name].dim or config.embedding(side)
