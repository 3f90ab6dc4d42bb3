"""From how many interactions on preference helps: a curve on validation, and the n it tells."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.side import Side, SideName
from training.metrics import UserItems, dot_scores, rank_metrics
from training.model import TwoTower
from training.prepare import SELECT_K, SIDES, Prepared, make_encoders, vectors
from training.slices import Slice, Slices
from training.split import VALIDATION

Vectors = NDArray[np.float32]

STEPS = (1, 2, 3, 5, 8, 13, 21, 50)
"""The fewest interactions of each step of the curve."""


@dataclass(frozen=True)
class Step:
    """Recall@k of the warm positives whose user or item has `least` interactions up to the next.

    `shown` is with the preference of these entities, `hidden` without; that of all others shows.
    """

    least: int
    shown: float
    hidden: float
    pairs: int


def presence_curve(
    slices: Slices,
    side: SideName,
    counts: NDArray[np.int64],
    shown: Mapping[SideName, Vectors],
    hidden: Vectors,
    k: int = 100,
) -> list[Step]:
    """Return the steps that have positives, fewest interactions first.

    Args:
        slices: The validation slices.
        side: Whose preference is shown or hidden.
        counts: Train rows of each entity of that side, of any label.
        shown: Vectors of both sides with all preference.
        hidden: Vectors of that side without, as many.
        k: How many items are recalled.

    """
    warm = slices.named("warm")
    everyone = np.arange(len(warm.relevant.starts) - 1)
    users, items = warm.relevant.pairs(everyone)
    step = np.searchsorted(STEPS, counts, side="right") - 1  # -1: no interaction
    of_pair = step[users if side == "user" else items]
    curve: list[Step] = []
    for number in np.unique(of_pair[of_pair >= 0]).tolist():
        kept = of_pair == number
        relevant = UserItems.from_pairs(users[kept], items[kept], len(everyone))
        search = replace(warm, relevant=relevant)
        without = np.where((step == number)[:, None], hidden, shown[side])
        recall = [
            _recall(search, slices.masked, both, k) for both in (shown, {**shown, side: without})
        ]
        curve.append(Step(STEPS[number], recall[0], recall[1], int(kept.sum())))
    return curve


def _recall(one: Slice, masked: UserItems, found: Mapping[SideName, Vectors], k: int) -> float:
    """Return recall@k of a slice's positives, by the vectors of both sides."""
    scores = dot_scores(found["user"], found["item"])
    return rank_metrics(scores, one.relevant, one.candidates, masked, (k,)).recall[k]


def enough(curve: Sequence[Step]) -> int | None:
    """Return the fewest interactions at which preference shown beats hidden; None if it never does.

    That is the n of `present_when: interactions >= n`; 1 is as good as none. Steps of few pairs
    are noisy, so look at the curve before you set it.
    """
    return next((step.least for step in curve if step.shown > step.hidden), None)


def helps(side: SideName, curve: Sequence[Step]) -> str:
    """Say in words from how many interactions on the preference of a side helps."""
    if all(step.shown == step.hidden for step in curve):
        return f"{side} preference changes no recall, so nothing tells whether it helps"
    least = enough(curve)
    if least is None:
        return f"{side} preference helps nobody, however many interactions there are"
    start = "the first interaction" if least == 1 else f"{least} interactions"
    return f"{side} preference helps from {start} on"


def measure_presence(
    prepared: Prepared, model: TwoTower, k: int = SELECT_K
) -> dict[SideName, list[Step]]:
    """Return the curve of each side with preference, whatever `present_when` says of it."""
    schema, log = prepared.schema, prepared.log
    bare: dict[str, Side] = {
        side: schema.side(side).model_copy(update={"present_when": None}) for side in SIDES
    }
    encoders = make_encoders(replace(prepared, schema=schema.model_copy(update=bare)))
    rows = {side: encoder.entities() for side, encoder in encoders.items()}
    shown = {side: vectors(model.side(side), rows[side]) for side in SIDES}
    slices = Slices.of(prepared.data, prepared.split, VALIDATION)
    found: dict[SideName, list[Step]] = {}
    for side in SIDES:
        if not schema.side(side).preference:
            continue
        nothing = replace(rows[side], present=np.zeros_like(rows[side].present))
        counts = np.bincount(log.ids(side)[log.is_train], minlength=len(nothing))
        hidden = vectors(model.side(side), nothing)
        found[side] = presence_curve(slices, side, counts, shown, hidden, k)
    return found


def in_json(curves: Mapping[SideName, Sequence[Step]]) -> dict[str, Any]:
    """Return the curves and each n as JSON holds them."""
    return {
        side: {"enough": enough(curve), "curve": [asdict(step) for step in curve]}
        for side, curve in curves.items()
    }
