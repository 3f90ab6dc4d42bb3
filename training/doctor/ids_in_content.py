"""Ids in content: never dropped, and so an untrained vector for whoever is new."""

from collections import Counter
from collections.abc import Iterator, Sequence

from export.contract.features import Category, Raw
from export.contract.features.vocabulary import MIN_COUNT
from export.contract.side import SIDES, SideName
from training.doctor.base import Finding, Patient

LEAST = 20  # entities
SINGLE_SHARE = 0.9


def look(patient: Patient) -> Iterator[Finding]:
    """Find categories that are the entity's own id, or stand for one entity each."""
    for side in SIDES:
        content = (patient.config.user if side == "user" else patient.config.item).content
        for name, feature in patient.given(side):
            if name in content and isinstance(feature, Category):
                yield from _judged(patient, side, name, feature)


def _judged(patient: Patient, side: SideName, name: str, feature: Category) -> Iterator[Finding]:
    values, ids = patient.values(side, name), patient.table(side).ids
    where = patient.path(side, name)
    if all(value == own for value, own in zip(values, ids, strict=True)):
        yield Finding(
            "warning" if patient.config.allow_id else "serious",
            where,
            f"holds the {side}'s own id",
            "take it out of content; as a preference: {kind: category, aggregate: identity}",
            {"entities": len(ids)},
        )
        return
    known = [value for value in values if value is not None]
    share = _single_share(known)
    if len(known) < LEAST or share < SINGLE_SHARE:
        return
    has_rows = feature.vocabulary != "learned" or (feature.min_count or MIN_COUNT) == 1
    yield Finding(
        "serious" if has_rows else "warning",
        where,
        f"{share:.0%} of its values stand for one {side} only: as good as an id",
        "leave it out, or read it as kind: text if it is made of words",
        {"single_share": round(share, 4), "entities": len(known)},
    )


def _single_share(known: Sequence[Raw]) -> float:
    counts = Counter(map(str, known))
    return sum(count == 1 for count in counts.values()) / max(1, len(known))
