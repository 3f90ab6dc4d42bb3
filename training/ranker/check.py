"""Whether a ranker can be made of the features that a run has, before anything is read."""

from export.contract.features import SequenceFeature
from export.contract.features.base import FeatureKind
from export.contract.sharing import table_users
from export.contract.side import Side, SideName
from export.contract.statistics import Identity, Last
from training.ranker.options import RankerOptions


def check_ranker(config: RankerOptions, user: Side, item: Side) -> None:
    """Check that there is a history, and something beside it to go by.

    Raises:
        ValueError: Names the key and what would be right.
    """
    history = history_of(config, user)
    if user.features.keys() == {history}:
        raise ValueError(f"ranker: expected a user feature beside the history {history!r}")
    if not any(map(is_still, item.features.values())):
        raise ValueError(
            "ranker: expected an item feature that stays as it is (content that is no statistic, "
            "or aggregate identity), which tells the items of a history from each other"
        )
    sides: list[tuple[SideName, Side]] = [("user", user), ("item", item)]
    for table, users in table_users(sides).items():
        width = {f"{s}.{n}": dict(sides)[s].features[n].dim or config.dim for s, n in users}
        narrow, wide = min(width, key=lambda n: width[n]), max(width, key=lambda n: width[n])
        if width[narrow] != width[wide]:
            raise ValueError(
                f"ranker.dim: {narrow} and {wide} share table {table!r}, whose rows have one "
                f"width; got {width[narrow]} and {width[wide]}"
            )


def history_of(config: RankerOptions, user: Side) -> str:
    """Return the name of the history feature.

    Raises:
        ValueError: It is none, or none is named and there is not exactly one.
    """
    histories = [name for name, one in user.preference.items() if _is_history(one)]
    asked = config.history
    if asked in histories:
        return asked
    if asked is None and len(histories) == 1:
        return histories[0]
    found = ", ".join(histories) or "there is none"
    expected = "a preference feature of the user of kind sequence with aggregate last"
    raise ValueError(f"ranker.history: got {asked!r}, expected {expected} ({found})")


def is_still(feature: FeatureKind) -> bool:
    """Say whether a feature of an item is the same whenever one looks: no count, no rate."""
    return feature.statistic is None or isinstance(feature.statistic, Identity)


def _is_history(feature: FeatureKind) -> bool:
    return isinstance(feature, SequenceFeature) and isinstance(feature.statistic, Last)
