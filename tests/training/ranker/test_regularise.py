from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.dropout import DropoutConfig
from training.prepare import Prepared
from training.ragged import Ragged
from training.ranker.model import Ranker
from training.ranker.regularise import Regulariser, decay, occurrences
from training.ranker.rows import RankerRows
from training.ranker.train import new_ranker
from training.side_rows import SideRows


def test_a_row_decays_by_its_count_once_a_batch_and_only_if_seen() -> None:
    table = torch.tensor([[0.0], [8.0], [8.0], [8.0], [8.0]])
    counts = torch.tensor([0.0, 1.0, 4.0, 2.0, 9.0])
    decay(table, torch.tensor([2, 1, 2, 2, 0, 3]), counts, strength=0.5, rate=0.1)
    # w <- w - .1 * .5 / n * w: n = 1, 4, 2; row 4 is not in the batch, row 0 is padding
    assert table.flatten().tolist() == pytest.approx([0.0, 7.6, 7.9, 7.8, 8.0])


@pytest.fixture
def ranker(prepared: Prepared) -> Ranker:
    assert prepared.config.ranker is not None
    return new_ranker(prepared.config.ranker, prepared)


def held(rows: RankerRows) -> Iterator[tuple[str, int]]:
    """Give every table row that stands in a row: of its user, its item and its history."""
    for at in range(len(rows)):
        batch = rows.batch(np.array([at]))
        for side, arrays, which in (
            (rows.users.side, batch.user, [0]),
            (rows.items.side, batch.item, [0]),
            (rows.items.side, batch.met, batch.history[batch.known].tolist()),
        ):
            for name in (*side.ids, *side.bags):
                feature = side.features[name]
                owner = "user" if side is rows.users.side else "item"
                table = getattr(feature, "table", None) or f"{owner}.{name}"
                for place in which:
                    found = arrays["ids"][place, side.ids.index(name)] if name in side.ids else None
                    values = [found.item()] if found is not None else arrays[name][place].tolist()
                    yield from ((str(table), int(value)) for value in values)


def test_counts_are_those_of_all_train_rows(rows: RankerRows, ranker: Ranker) -> None:
    some = np.arange(0, len(rows), 40)
    few = RankerRows(
        users=_only(rows.users, some),
        items=_only(rows.items, some),
        catalogue=rows.catalogue,
        history=rows.history.take(some),
        is_positive=rows.is_positive[some],
        weight=rows.weight[some],
        most=rows.most,
    )
    expected = Counter(held(few))
    tables = {table for table, _ in expected}
    found = occurrences(few, {table: len(ranker.table(table)) for table in tables})
    words = {one: count for one, count in expected.items() if one[1] > 2}  # no reserved rows
    assert len(words) > 50
    for (table, row), count in words.items():
        assert found[table][row] == count, (table, row)
    total = sum(counts[3:].sum() for counts in found.values())
    assert total == sum(words.values())


def test_training_with_it_leaves_shorter_rows(rows: RankerRows, ranker: Ranker) -> None:
    nothing = DropoutConfig(user=0, item=0, column=0)
    batch = next(rows.epoch(128, nothing, np.random.default_rng(1)))
    before = {n: one.clone() for n, one in ranker.named_parameters()}
    Regulariser(ranker, rows, strength=0.5).apply(batch, rate=0.1)
    after = dict(ranker.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    for name in changed:
        assert "tables" in name
        assert after[name].norm() < before[name].norm()


def _only(one: SideRows, some: np.ndarray) -> SideRows:
    place = one.place[some]
    moving = {
        name: column.take(place) if isinstance(column, Ragged) else column[place]
        for name, column in one.moving.items()
    }
    return replace(
        one,
        entity=one.entity[some],
        moving=moving,
        place=np.arange(len(some)),
        present=one.present[some],
    )
