"""Parity as one table: every feature kind, side, tower and similarity, torch against onnxruntime.

Nothing is trained: the weights are random. A kind or a tower without a row here fails.
"""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import get_args

import numpy as np
import pytest

from export.contract.features import KINDS
from export.contract.side import SIDES, SideName
from export.contract.similarity import Similarity
from tests.export.kind_rows import (
    CONTENT,
    PREFERENCE,
    given_to,
    groups_of,
    records_of,
    rows_of,
    schema_of,
)
from tests.export.random_towers import TOLERANCE, TOWERS, Towers, folder_of, read
from training.towers import TowerConfig

SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner_product")

WHOLE = ("additive", "dropoutnet")  # the towers that meet every row


def rows_for(tower: str, similarity: Similarity, side: SideName, group: str) -> list[str]:
    """Return the rows that a tower is compared on.

    Features are read alike in every tower, which sees no more than a wide vector of each group.
    So two towers meet every row; each other one meets each kind on each side, the kinds taking
    turns among groups and similarities, and one row of context.
    """
    names = list(rows_of(group, similarity))
    if tower in WHOLE:
        return names
    first = list({name.split("-")[0]: name for name in reversed(names)}.values())[::-1]
    if group == "context":
        return first[:1]
    turns = [*product(SIMILARITIES, ("content", "preference"))]
    turn = turns.index((similarity, group)) + list(TOWERS).index(tower) + SIDES.index(side)
    return [name for at, name in enumerate(first) if at % len(turns) == turn % len(turns)]


CELLS = [
    pytest.param(tower, similarity, side, group, name, id=f"{tower}-{similarity}-{side}-{name}")
    for tower, similarity, side in product(TOWERS, SIMILARITIES, SIDES)
    for group in groups_of(side)
    for name in rows_for(tower, similarity, side, group)
]


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Similarity], Towers]:
    @cache
    def made(tower: str, similarity: Similarity) -> Towers:
        folder = folder_of(tmp_path_factory, tower, similarity)
        return read(folder, tower, schema_of(similarity))

    return made


def test_no_kind_and_no_tower_is_without_a_row() -> None:
    kinds = {kind.model_fields["kind"].default for kind in KINDS}
    assert CONTENT.keys() == PREFERENCE.keys() == kinds
    members = get_args(get_args(TowerConfig)[0])
    assert TOWERS.keys() == {member.model_fields["kind"].default for member in members}
    assert get_args(Similarity) == SIMILARITIES


def test_every_tower_meets_every_kind_side_and_similarity() -> None:
    kinds = [kind.model_fields["kind"].default for kind in KINDS]
    met = {(p.values[0], p.values[2], str(p.values[4]).split("-")[0]) for p in CELLS}
    assert met == {*product(TOWERS, SIDES, kinds)}
    assert {p.values[:3] for p in CELLS} == {*product(TOWERS, SIMILARITIES, SIDES)}
    for whole in WHOLE:
        of_one = {p.values[1:] for p in CELLS if p.values[0] == whole}
        assert {p.values[1:] for p in CELLS} == of_one


@pytest.mark.parametrize(("tower", "similarity", "side", "group", "name"), CELLS)
def test_torch_and_tower_file_give_the_same(
    towers: Callable[[str, Similarity], Towers],
    tower: str,
    similarity: Similarity,
    side: SideName,
    group: str,
    name: str,
) -> None:
    both = towers(tower, similarity)
    alone = given_to(both.schema, side, name, rows_of(group, similarity)[name])
    others = records_of(both.schema, side)
    drawn = np.random.default_rng(3).integers(len(others), size=len(alone))
    among = [{**others[other], **one} for other, one in zip(drawn, alone, strict=True)]
    records = [{}, *alone, *among]
    for present in (True, False):
        together = both.compare(side, records, present)
        for record, vector in zip(records, together, strict=True):
            single = both.compare(side, [record], present)[0]
            assert np.abs(single - vector).max() <= TOLERANCE
        moved = np.abs(together[1 : len(alone) + 1] - together[0]).max()
        if group == "preference" and not present:
            assert moved == 0 or "shop" in alone[0]  # a shop is content, whoever is made of it
        else:
            assert moved > 1e-4  # the value has reached the vector
