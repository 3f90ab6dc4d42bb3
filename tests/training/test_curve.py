import math
from typing import Any

import pytest

from training.curve import curve_of
from training.plots import recall_by_value


def document(values: dict[str, Any], chosen: str | None = "b") -> dict[str, Any]:
    """Return as much of a comparison as the curve reads: recall rises from name to name."""
    names = list(values)
    recall = {name: {"recall@100": 0.1 * n} for n, name in enumerate(names)}
    scorers = ["model", *names[1:]]
    return {
        "runs": [names[0]],
        "slices": {s: {"warm": recall[n]} for s, n in zip(scorers, names, strict=True)},
        "spread": {"slices": {}},
        "vary": {"path": "dropout.item", "values": values},
        "validation": {
            "mean": {n: {"warm": 1 - f["recall@100"], "selected": 0.5} for n, f in recall.items()},
            "spread": {n: {"warm": [0.0, 1.0], "selected": [0.5, 0.5]} for n in names},
            "chosen": chosen,
        },
    }


def test_numbers_stand_by_their_size_whatever_the_order_they_were_asked_in() -> None:
    found = curve_of(document({"a": 1, "b": 0, "c": 0.25}))
    assert (found.x, found.labels, found.chosen) == ([0, 0.25, 1], None, 0)
    assert [mean for mean, _, _ in found.test["warm"]] == pytest.approx([0.1, 0.2, 0])
    assert found.validation["warm"][0] == (0.9, 0.0, 1.0)
    assert not found.is_log


def test_words_stand_one_beside_the_other_as_they_were_asked() -> None:
    found = curve_of(document({"a": "sqrtn", "b": "mean", "c": None, "d": True}))
    assert (found.x, found.labels) == ([0, 1, 2, 3], ["sqrtn", "mean", "null", "true"])
    assert found.chosen == 1
    assert ">sqrtn</text>" in recall_by_value(found)


def test_far_numbers_are_drawn_by_factors() -> None:
    assert curve_of(document({"a": 1e-4, "b": 1e-2})).is_log
    assert not curve_of(document({"a": 0, "b": 1e-2})).is_log


def test_what_cannot_be_told_is_left_out_of_the_line() -> None:
    asked = document({"a": 0, "b": 1, "c": 2}, chosen=None)
    asked["slices"]["b"]["warm"] = {"recall@100": None}
    found = curve_of(asked)
    assert [math.isnan(mean) for mean, _, _ in found.test["warm"]] == [False, True, False]
    assert found.chosen is None
    assert recall_by_value(found).startswith("<svg")
