from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.contract.features import FIRST_WORD_ROW
from tests.training.conftest import world_config
from training.batches import Batches
from training.config import parse_config
from training.prepare import Prepared, make_batches, make_encoders, prepare

B = 64


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    raw = world_config(world)
    raw["training"] |= {"batch": B}
    raw["dropout"] = {"user": 0.25, "item": 0.5, "column": 0.0}
    return prepare(parse_config(raw, world / "train.yaml"))


@pytest.fixture(scope="module")
def batches(prepared: Prepared) -> Batches:
    return make_batches(prepared, make_encoders(prepared))


@pytest.fixture(scope="module")
def clicked(prepared: Prepared) -> np.ndarray:
    return np.flatnonzero(prepared.log.is_train & (prepared.log.label > 0))


def test_an_epoch_gives_every_clicked_row_once(batches: Batches, clicked: np.ndarray) -> None:
    rows = [batch.rows for batch in batches.epoch(0)]
    assert len(rows) == len(batches)
    assert sorted(np.concatenate(rows)) == list(range(len(clicked)))
    assert {len(one) for one in rows[:-1]} == {B}


def test_an_epoch_is_the_same_whenever_it_is_run_and_unlike_others(batches: Batches) -> None:
    third, again, fourth = (list(batches.epoch(number)) for number in (3, 3, 4))
    for one, other in zip(third, again, strict=True):
        assert (one.rows == other.rows).all()
        assert (one.states.item == other.states.item).all()
        torch.testing.assert_close(one.user, other.user, rtol=0, atol=0, equal_nan=True)
    assert (third[0].rows != fourth[0].rows).any()
    reseeded = batches.config.training.model_copy(update={"seed": 9})
    other_seed = replace(batches, config=batches.config.model_copy(update={"training": reseeded}))
    assert (next(other_seed.epoch(3)).rows != third[0].rows).any()


def test_states_have_their_shares_and_reach_the_towers(batches: Batches) -> None:
    for batch in batches.epoch(0):
        size = len(batch.rows)
        absent = ~batches.users.present[batch.rows]
        assert (~batch.states.user).sum() == max(round(0.25 * size), absent.sum())
        assert (batch.user["present"].numpy()[:, 0] == batch.states.user).all()
        assert (batch.item["present"].numpy()[:, 0] == batch.states.item).all()


def test_masks_say_what_the_log_says(
    batches: Batches, prepared: Prepared, clicked: np.ndarray
) -> None:
    log = prepared.log
    liked = defaultdict(set)
    for row in clicked:
        liked[log.user[row]].add(log.item[row])
    batch = next(batches.epoch(0))
    users, items = log.user[clicked[batch.rows]], log.item[clicked[batch.rows]]
    assert (batch.same_item.numpy() == (items[:, None] == items[None])).all()
    expected = [
        [other in liked[user] and other != own for other in items]
        for user, own in zip(users, items, strict=True)
    ]
    assert (batch.known_positive.numpy() == np.array(expected)).all()
    assert np.array(expected).any()


def test_log_q_is_the_log_of_an_items_share_of_clicks(
    batches: Batches, prepared: Prepared, clicked: np.ndarray
) -> None:
    batch = next(batches.epoch(0))
    items = prepared.log.item[clicked]
    for own, found in zip(items[batch.rows], batch.log_q.tolist(), strict=True):
        assert found == pytest.approx(np.log((items == own).mean()), rel=1e-5)


def test_sample_weights_are_those_of_the_rows(batches: Batches) -> None:
    weight = np.arange(len(batches.users), dtype=np.float32)
    for batch in replace(batches, weight=weight).epoch(0):
        assert (batch.weight.numpy() == batch.rows).all()


def test_a_last_batch_of_one_row_is_whole(batches: Batches) -> None:
    training = batches.config.training.model_copy(update={"batch": len(batches.users) - 1})
    config = batches.config.model_copy(update={"training": training})
    last = list(replace(batches, config=config).epoch(0))[-1]
    assert len(last.rows) == 1
    assert last.same_item.tolist() == [[True]]
    assert last.known_positive.tolist() == [[False]]


def test_the_target_never_stands_in_the_history_that_predicts_it(
    batches: Batches, prepared: Prepared, clicked: np.ndarray
) -> None:
    words = {word: row for row, word in enumerate(prepared.schema.tables["item"])}
    ids = prepared.data.items.ids
    for batch in batches.epoch(0):
        own = [words.get(ids[one], -9) for one in prepared.log.item[clicked[batch.rows]]]
        recent = batch.user["recent"].numpy() - FIRST_WORD_ROW
        assert (recent >= 0).any()
        assert not (recent == np.array(own)[:, None]).any()
