"""The `history` of a request, folded into the preference features that it replaces."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from export.contract.features import Raw
from export.contract.side import Side
from export.contract.statistics import Events, Lookup, Recent

Words = Mapping[str, float] | Iterable[str]


class Catalogue(Protocol):
    """What a fold asks of the items."""

    def __contains__(self, one: object, /) -> bool:
        """Say whether the item is served."""

    def words(self, feature: str, one: str, /) -> Words | None:
        """Return the words of one item feature; None for an item that is not served."""

    def given_vector(self, feature: str, one: str, /) -> list[float] | None:
        """Return the vector behind a user's feature; None for an item that is not served."""


def replaced(side: Side) -> frozenset[str]:
    """Return the features that a history replaces: those that item ids alone can tell."""
    preference = side.preference.items()
    return frozenset(
        name for name, f in preference if f.statistic is not None and f.statistic.takes_history
    )


def fold_history(
    ids: Sequence[str], side: Side, catalogue: Catalogue
) -> tuple[dict[str, Raw], int]:
    """Return the features that a history gives, and how many of its ids are no served items.

    Args:
        ids: Item ids from oldest to newest, with repeats; unknown ones are dropped.
        side: The user side of the schema.
        catalogue: Knows the items and their words.

    """
    known = [one for one in ids if one in catalogue]
    folded: dict[str, Raw] = {}
    for name in replaced(side):
        statistic = side.preference[name].statistic
        assert statistic is not None
        items: Lookup | None = None
        if statistic.words_of is not None:
            items = partial(catalogue.words, statistic.words_of)
        if statistic.vectors_of is not None:
            items = partial(catalogue.given_vector, name)
        # Every event matches, so no older one is asked for its words.
        newest = known[-statistic.n :] if isinstance(statistic, Recent) else known
        value = statistic.fold(Events.history(newest), math.inf, items=items)
        if value is not None:
            folded[name] = value
    return folded, len(ids) - len(known)
