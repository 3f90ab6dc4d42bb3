"""Vocabularies that do not know the words of the rows that come after training."""

from collections.abc import Iterator

import numpy as np

from export.contract.features.vocabulary import Worded
from export.contract.side import SIDES, SideName
from training.doctor.base import Finding, Patient
from training.parts import TEST, VALIDATION

UNKNOWN = 0.3
LEAST = 50  # words


def look(patient: Patient) -> Iterator[Finding]:
    """Find features many of whose words are unknown in the rows that validate and test.

    A word counts as often as rows hold it; missing values do not count. A warning from 30 % on.
    """
    for side in SIDES:
        vocabularies = patient.schema.words(side)
        for name, feature in patient.given(side):
            if isinstance(feature, Worded) and feature.buckets is None:
                yield from _judged(patient, side, name, feature, set(vocabularies[name]))


def _judged(
    patient: Patient, side: SideName, name: str, feature: Worded, known: set[str]
) -> Iterator[Finding]:
    later = np.isin(patient.split.part, (VALIDATION, TEST))
    records = patient.table(side).records
    counts = np.bincount(patient.ids(side)[later], minlength=len(records))
    words = [list(feature.words(record.get(name))) for record in records]
    total = sum(int(n) * len(one) for n, one in zip(counts, words, strict=True))
    unknown = sum(
        int(n) * sum(word not in known for word in one)
        for n, one in zip(counts, words, strict=True)
    )
    share = unknown / max(1, total)
    if total < LEAST or share < UNKNOWN:
        return
    yield Finding(
        "warning",
        patient.path(side, name),
        f"{share:.0%} of its words in validation and test rows are unknown",
        "lower min_count, take a coarser column beside it, or read free text as kind: text; "
        "vocabulary: hashed gives words that come later rows of their own",
        {"unknown_share": round(share, 4), "words": total, "vocabulary": len(known)},
    )
