"""What a batch hides: exact shares of the four states, and single columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, PADDING_ROW, UNKNOWN_ROW
from export.contract.features.base import Made
from export.contract.features.vocabulary import Worded
from export.contract.side import Arrays, Side
from export.contract.strict import Strict
from training.span import Span

Flags = NDArray[np.bool_]


class DropoutConfig(Strict):
    """How often training hides what it knows.

    `user` and `item` are exact shares of each batch whose preference group is hidden, natural
    absence counted in; `column` is the chance of hiding one preference or context column of a
    row, `unknown` that of taking a word of content for one that training never saw.
    """

    searched: ClassVar[Mapping[str, Span]] = {
        "user": Span(0.0, 0.9, step=0.1),
        "item": Span(0.0, 0.9, step=0.1),
        "unknown": Span(0.0, 0.5, step=0.1),
    }

    user: float = Field(0.3, ge=0, le=1)
    item: float = Field(0.5, ge=0, le=1)
    column: float = Field(0.1, ge=0, le=1)
    unknown: float = Field(0.0, ge=0, le=1)


@dataclass(frozen=True)
class States:
    """For each row of a batch, whether its user's and its item's preference stays in sight."""

    user: Flags
    item: Flags

    def shares(self) -> dict[str, float]:
        """Return the shares of the four states."""
        return {
            "warm": float((self.user & self.item).mean()),
            "user_cold": float((~self.user & self.item).mean()),
            "item_cold": float((self.user & ~self.item).mean()),
            "both_cold": float((~self.user & ~self.item).mean()),
        }


def draw_states(
    user_present: Flags, item_present: Flags, user: float, item: float, rng: np.random.Generator
) -> States:
    """Hide preference until the shares hold: round(user * B) users, and items among each kind.

    Natural absence counts first, so rows are only ever hidden, and where more is absent than a
    share asks for, the share is exceeded. Among hidden users and among the others the share of
    hidden items is the same, so all four states have their exact share:
    (1-p)(1-q), p(1-q), (1-p)q and pq.
    """
    shown_user = hide(user_present, user, rng)
    shown_item = item_present.copy()
    for rows in (np.flatnonzero(shown_user), np.flatnonzero(~shown_user)):
        shown_item[rows] = hide(item_present[rows], item, rng)
    return States(shown_user, shown_item)


def hide(present: Flags, share: float, rng: np.random.Generator) -> Flags:
    """Hide rows at random until round(share * n) are absent."""
    missing = round(share * len(present)) - int((~present).sum())
    shown = present.copy()
    if missing > 0:
        shown[rng.permutation(np.flatnonzero(present))[:missing]] = False
    return shown


def hide_columns(arrays: Arrays, side: Side, share: float, rng: np.random.Generator) -> None:
    """Set single preference and context features of some rows to missing, in place.

    So half-given records, and requests without context, are seen in training.
    """
    size = len(next(iter(arrays.values())))
    masks: dict[str, Flags] = {}
    for name in (*side.preference, *side.context):
        if not side.features[name].made_of:
            masks[name] = rng.random(size) < share
    nothing = np.zeros(size, dtype=bool)
    for name in (*side.preference, *side.context):
        # What is made of others is missing where one of them is, as it is when served.
        sources = side.features[name].made_of or (name,)
        hidden = np.logical_or.reduce([masks.get(one, nothing) for one in sources])
        if name in side.ids:
            arrays["ids"][hidden, side.ids.index(name)] = MISSING_ROW
        elif name in side.values:
            arrays["values"][hidden, side.values.index(name)] = np.nan
        elif name in side.vectors:
            arrays[name][hidden] = np.nan
        else:
            _hide_bag(arrays, name, hidden)


def forget_words(arrays: Arrays, side: Side, share: float, rng: np.random.Generator) -> None:
    """Take some words of content for ones that training never saw, in place.

    So the row of unknown words is trained on entities like those that will read it: else it
    learns from rare words alone, and where every word is kept, from none. A hashed word is never
    unknown. What is made of a word that is taken so, whatever group it stands in, has the row
    that the graph would give it: a cross is unknown too, a hashed one has another bucket.
    """
    if not share:
        return
    drawn: dict[str, Flags] = {}
    for name, feature in side.content.items():
        if not isinstance(feature, Worded) or feature.vocabulary == "hashed" or feature.made_of:
            continue
        rows = arrays[name] if name in side.bags else arrays["ids"][:, side.ids.index(name)]
        drawn[name] = rng.random(rows.shape) < share
        rows[drawn[name] & (rows >= FIRST_WORD_ROW)] = UNKNOWN_ROW
    for name, feature in side.features.items():
        parts = [drawn[one] for one in feature.made_of if one in drawn]
        if isinstance(feature, Made) and parts:
            forgotten, ids = np.logical_or.reduce(parts), arrays["ids"]
            sources = [ids[forgotten, side.ids.index(one)] for one in feature.made_of]
            ids[forgotten, side.ids.index(name)] = feature.rows_of_unknown(sources)


def _hide_bag(arrays: dict[str, NDArray[Any]], name: str, hidden: Flags) -> None:
    arrays[name][hidden] = PADDING_ROW
    arrays[name][hidden, 0] = MISSING_ROW
    weights = arrays.get(f"{name}.weights")
    if weights is not None:
        weights[hidden] = 0.0
        weights[hidden, 0] = 1.0
