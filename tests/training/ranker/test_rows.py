import numpy as np
import torch

from training.dropout import DropoutConfig
from training.prepare import Prepared
from training.ranker.rows import RankerBatch, RankerRows, without_newest

EVERYTHING = DropoutConfig(user=0, item=0, column=0)


def first(rows: RankerRows, dropout: DropoutConfig, size: int = 400) -> RankerBatch:
    return next(rows.epoch(size, dropout, np.random.default_rng(1)))


def test_every_row_is_given_once_an_epoch(rows: RankerRows) -> None:
    batches = list(rows.epoch(256, EVERYTHING, np.random.default_rng(1)))
    assert sum(len(one.weight) for one in batches) == len(rows)
    clicked = sum(int(one.is_positive.sum()) for one in batches)
    assert clicked == rows.is_positive.sum()
    assert 0 < clicked < len(rows)


def test_a_history_holds_what_was_clicked_before_and_never_the_row_itself(
    rows: RankerRows, prepared: Prepared
) -> None:
    log = prepared.log
    learned = np.flatnonzero(log.is_train)
    assert log.order is not None
    met = 0
    for row in range(0, len(learned), 7):
        span = slice(rows.history.indptr[row], rows.history.indptr[row + 1])
        at = learned[row]
        before = (log.user == log.user[at]) & log.is_train & (log.label > 0)
        before &= log.order < log.order[at]
        clicked = log.item[before][np.argsort(log.order[before])]
        expected = clicked[clicked != log.item[at]][-10:]
        assert rows.history.values[span].tolist() == expected.tolist()
        met += len(expected)
    assert met > 100


def test_places_point_at_the_items_met(rows: RankerRows) -> None:
    chosen = np.flatnonzero(rows.history.lengths > 2)[:5]
    batch = rows.batch(chosen)
    distinct = np.unique(np.concatenate([_met(rows, one) for one in chosen]))
    assert len(batch.met["ids"]) == len(distinct)
    for row, one in enumerate(chosen):
        places = batch.history[row][batch.known[row]]
        assert distinct[places.numpy()].tolist() == _met(rows, one).tolist()


def test_whoever_is_hidden_has_no_history(rows: RankerRows) -> None:
    batch = first(rows, DropoutConfig(user=0.5, item=0, column=0))
    shown = batch.user["present"].squeeze(1)
    assert shown.float().mean().item() == 0.5
    assert not batch.known[~shown].any()
    assert batch.known[shown].any()


def test_stale_histories_lose_their_newest_items_and_nothing_else(rows: RankerRows) -> None:
    batches = [
        next(rows.epoch(400, EVERYTHING, np.random.default_rng(1), stale)) for stale in (0.0, 0.8)
    ]
    whole, left = (one.known.numpy() for one in batches)
    before, after = whole.sum(1), left.sum(1)
    assert 0 < after.sum() < before.sum()
    assert (after >= before * 0.2).all()
    for row in range(400):
        assert left[row].tolist() == [at < after[row] for at in range(whole.shape[1])]


def test_a_share_of_a_history_is_rounded_down_to_whole_items() -> None:
    lengths = np.array([0, 1, 4, 4, 3])
    known = np.arange(4) < lengths[:, None]
    left = without_newest(known, np.array([0.9, 0.9, 0.5, 0.74, 0.0]))
    assert left.sum(1).tolist() == [0, 1, 2, 2, 3]
    assert left[2].tolist() == [True, True, False, False]


def test_items_are_hidden_in_their_share_among_clicked_rows_and_others(rows: RankerRows) -> None:
    batch = first(rows, DropoutConfig(user=0, item=0.5, column=0))
    shown = batch.item["present"].squeeze(1)
    for label in (True, False):
        share = shown[batch.is_positive == label].float().mean().item()
        assert abs(share - 0.5) < 0.01


def test_a_hidden_column_may_be_the_history_or_the_id_of_an_item_in_it(rows: RankerRows) -> None:
    whole, holed = (
        first(rows, DropoutConfig(user=0, item=0, column=column)) for column in (0, 0.5)
    )
    assert holed.known.any(1).float().mean() < 0.7 * whole.known.any(1).float().mean()
    assert whole.met["present"].all()
    assert 0.3 < holed.met["present"].float().mean() < 0.7


def test_a_batch_without_any_history_has_one_place_that_is_not_known(rows: RankerRows) -> None:
    batch = rows.batch(np.flatnonzero(rows.history.lengths == 0)[:4])
    assert batch.history.shape == (4, 1)
    assert not batch.known.any()
    assert torch.equal(batch.history, torch.zeros(4, 1, dtype=torch.int64))


def _met(rows: RankerRows, row: int) -> np.ndarray:
    found: np.ndarray = rows.history.values[rows.history.indptr[row] : rows.history.indptr[row + 1]]
    return found
