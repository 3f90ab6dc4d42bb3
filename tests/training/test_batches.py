from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from export.contract.errors import ConfigError, DataError
from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, UNKNOWN_ROW, Category
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


def batches_of(world: Path, **changes: Any) -> tuple[Prepared, Batches]:
    """Prepare the world with other losses, negatives or dropout."""
    raw = world_config(world)
    raw["training"] |= {"batch": B}
    found = prepare(parse_config(raw | changes, world / "train.yaml"))
    return found, make_batches(found, make_encoders(found))


@pytest.fixture(scope="module")
def exposed(world: Path) -> tuple[Prepared, Batches]:
    """Return batches of a loss that needs rows not clicked, with candidates from elsewhere."""
    return batches_of(
        world,
        losses=[{"kind": "pairwise"}],
        negatives=[{"kind": "in_batch"}, {"kind": "mixed", "n": 24}, {"kind": "hard"}],
        dropout={"user": 0.25, "item": 0.5, "column": 0.0},
    )


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
    assert (batch.log_q == batch.log_q[0]).all()
    for own, found in zip(items[batch.rows], batch.log_q[0].tolist(), strict=True):
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


def test_a_loss_that_needs_them_gets_all_train_rows_with_their_labels(
    exposed: tuple[Prepared, Batches],
) -> None:
    prepared, batches = exposed
    train = np.flatnonzero(prepared.log.is_train)
    found = list(batches.epoch(0))
    rows = np.concatenate([batch.rows for batch in found])
    assert sorted(rows) == list(range(len(train)))
    for batch in found:
        expected = prepared.log.label[train[batch.rows]] > 0
        assert (batch.is_positive.numpy() == expected).all()
        assert 0 < expected.sum() < len(expected) or len(expected) < B


def test_without_such_a_loss_every_row_was_clicked(batches: Batches) -> None:
    assert all(batch.is_positive.all() for batch in batches.epoch(0))


def test_dropout_has_its_exact_shares_among_clicked_rows_others_and_candidates(
    exposed: tuple[Prepared, Batches],
) -> None:
    batches = exposed[1]
    for batch in batches.epoch(0):
        cold = batch.cold.numpy()
        size = len(batch.rows)
        assert (cold[:size] == ~batch.states.item).all()
        assert (batch.item["present"].numpy()[:, 0] == ~cold).all()
        for part in (batch.is_positive.numpy(), ~batch.is_positive.numpy()):
            rows = batch.rows[part]
            absent = (~batches.users.present[rows]).sum()
            assert (~batch.states.user[part]).sum() == max(round(0.25 * len(rows)), absent)
        assert cold[size:].sum() == round(0.5 * (len(cold) - size))


@pytest.mark.parametrize(("share", "known"), [(0.0, True), (1.0, False)])
def test_words_of_content_reach_the_towers_or_are_unknown(
    world: Path, share: float, known: bool
) -> None:
    _, batches = batches_of(world, dropout={"unknown": share})
    batch = next(batches.epoch(0))
    for arrays, side in ((batch.user, batches.users.side), (batch.item, batches.items.side)):
        words = [side.ids.index(name) for name in side.content if name in side.of_kind(Category)]
        assert bool((arrays["ids"][:, words] >= FIRST_WORD_ROW).any()) == known


def test_the_rows_of_a_user_share_a_batch_up_to_its_borders(
    exposed: tuple[Prepared, Batches],
) -> None:
    batches = exposed[1]
    user = batches.users.entity
    order = np.concatenate([batch.rows for batch in batches.epoch(0)])
    changes = (np.diff(user[order]) != 0).sum()
    assert changes == len(set(user)) - 1
    assert (order != np.concatenate([batch.rows for batch in batches.epoch(1)])).any()
    for batch in batches.epoch(0):
        codes = batch.sessions["user_id"].numpy()
        same_user = user[batch.rows][:, None] == user[batch.rows]
        assert ((codes[:, None] == codes) == same_user).all()


def test_candidates_are_encoded_as_the_items_that_masks_speak_of(
    exposed: tuple[Prepared, Batches],
) -> None:
    prepared, batches = exposed
    words: dict[Any, int] = {w: row for row, w in enumerate(prepared.schema.tables["maker"])}
    records = prepared.data.items.records
    column = prepared.schema.item.ids.index("maker")
    batch = next(batches.epoch(0))
    drawn = batches.candidates.draw(batch.rows, np.random.default_rng(0))
    items = batches.items.entity[drawn.rows]
    makers = batches.items.batch(drawn.rows)["ids"][:, column] - FIRST_WORD_ROW
    words[None] = MISSING_ROW - FIRST_WORD_ROW
    unknown = UNKNOWN_ROW - FIRST_WORD_ROW
    expected = [words.get(records[item].get("maker"), unknown) for item in items]
    assert makers.tolist() == expected
    assert len(set(expected)) > 5
    assert batch.same_item.shape == batch.candidate.shape == batch.known_positive.shape
    assert len(batch.item["ids"]) == len(batch.cold) == batch.candidate.shape[1] > B


def test_masks_reach_candidates_from_elsewhere(exposed: tuple[Prepared, Batches]) -> None:
    """Every further column that holds a row's own item, or one its user clicked, is marked."""
    prepared, batches = exposed
    log = prepared.log
    clicked = np.flatnonzero(log.is_train & (log.label > 0))
    liked = set(zip(log.user[clicked].tolist(), log.item[clicked].tolist(), strict=True))
    marked = 0
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = rng.permutation(len(batches.users))[:B]
        state = rng.bit_generator.state
        items = batches.items.entity[batches.candidates.draw(rows, rng).rows]
        rng.bit_generator.state = state
        batch = batches._batch(rows, rng)
        users, own = batches.users.entity[rows], batches.items.entity[rows]
        for row in range(len(rows)):
            same = items == own[row]
            known = np.array([(users[row], item) in liked for item in items.tolist()])
            assert (batch.same_item[row].numpy() == same).all()
            assert (batch.known_positive[row].numpy() == (known & ~same)).all()
            marked += known[len(rows) :].sum()
    assert marked


def test_no_item_that_is_held_out_of_training_reaches_a_batch(
    exposed: tuple[Prepared, Batches],
) -> None:
    prepared, batches = exposed
    trained = set(prepared.log.item[prepared.log.is_train].tolist())
    held_out = set(range(len(prepared.data.items))) - trained
    assert held_out
    assert set(batches.items.entity.tolist()) == trained
    assert not batches.candidates.shown.trainable[sorted(held_out)].any()


def test_a_last_batch_of_one_row_is_whole_with_every_kind(world: Path) -> None:
    prepared, found = batches_of(
        world,
        losses=[{"kind": "pairwise", "session": "batch"}, {"kind": "pointwise"}],
        negatives=[{"kind": "roll"}, {"kind": "mixed"}, {"kind": "hard"}],
    )
    training = found.config.training.model_copy(update={"batch": len(found.users) - 1})
    config = found.config.model_copy(update={"training": training})
    last = list(replace(found, config=config).epoch(0))[-1]
    assert len(last.rows) == 1
    assert torch.isfinite(last.log_q).all()
    assert not last.candidate[:, 0].any()


def test_rows_not_clicked_have_to_be_there_for_a_loss_that_needs_them(
    world: Path, tmp_path: Path
) -> None:
    for path in world.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = pq.read_table(world / "interactions.parquet")
    pq.write_table(rows.filter(pc.equal(rows["label"], 1)), tmp_path / "interactions.parquet")
    with pytest.raises(ConfigError, match=r"losses\.pairwise: needs train rows .* not clicked"):
        batches_of(tmp_path, losses=[{"kind": "pairwise"}])
    with pytest.raises(ConfigError, match=r"negatives\.roll: needs train rows .* not clicked"):
        batches_of(tmp_path, negatives=[{"kind": "roll", "exposures": True}])


def test_a_roll_may_ask_for_rows_not_clicked(world: Path, batches: Batches) -> None:
    prepared, found = batches_of(world, negatives=[{"kind": "roll", "exposures": True}])
    assert len(found.users) == prepared.log.is_train.sum() > len(batches.users)
    batch = next(found.epoch(0))
    rolled = batch.candidate[batch.is_positive][:, ~batch.is_positive]
    assert rolled.any()
    assert not found.sessions
    clicked = batches_of(world, negatives=[{"kind": "roll"}])[1]
    assert len(clicked.users) == len(batches.users)


def test_a_session_column_that_is_not_there_is_named(world: Path) -> None:
    with pytest.raises(ConfigError, match=r"session 'visit': the interactions have user_id, "):
        batches_of(world, losses=[{"kind": "pairwise", "session": "visit"}])


def test_losses_are_told_the_true_category_of_every_candidate(world: Path) -> None:
    prepared, found = batches_of(
        world,
        losses=[
            {"kind": "in_batch_softmax"},
            {"kind": "category_alignment", "category": "maker"},
        ],
        negatives=[{"kind": "in_batch"}, {"kind": "mixed", "n": 24}],
        dropout={"unknown": 0.5},
    )
    side, makers = prepared.schema.item, prepared.schema.tables["maker"]
    records, hidden = prepared.data.items.records, 0
    for batch in found.epoch(0):
        told = batch.categories["maker"].tolist()
        assert len(told) == len(batch.items) > len(batch.rows)
        for row, item in zip(told, batch.items.tolist(), strict=True):
            maker = records[item].get("maker")
            known = {None: MISSING_ROW} | {m: FIRST_WORD_ROW + at for at, m in enumerate(makers)}
            assert row == known.get(maker, UNKNOWN_ROW)
        seen = batch.item["ids"][:, side.ids.index("maker")]
        hidden += int((seen != batch.categories["maker"]).sum())
    assert hidden  # from the tower, by dropout


def test_categories_that_no_loss_asks_for_are_not_told(batches: Batches) -> None:
    assert next(batches.epoch(0)).categories == {}


BOTH_VIEWS = [{"kind": "in_batch_softmax"}, {"kind": "distillation"}]


def test_a_warm_view_is_the_same_rows_with_nothing_hidden(world: Path) -> None:
    hiding = {"user": 0.25, "item": 0.5, "column": 0.3, "unknown": 0.3}
    found = batches_of(world, losses=BOTH_VIEWS, dropout=hiding)[1]
    open_eyed = batches_of(world, dropout={"user": 0, "item": 0, "column": 0})[1]
    for batch in found.epoch(0):
        assert batch.warm is not None
        bare = open_eyed.users.batch(batch.rows), open_eyed.items.batch(batch.rows)
        for warm, hidden, arrays in zip(batch.warm, (batch.user, batch.item), bare, strict=True):
            assert warm.keys() == hidden.keys() == arrays.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(warm[name].numpy(), array)
            assert (warm["present"] != hidden["present"]).any()


def test_a_warm_view_is_made_only_for_a_loss_that_needs_it_and_changes_nothing_else(
    world: Path,
) -> None:
    without, with_it = batches_of(world)[1], batches_of(world, losses=BOTH_VIEWS)[1]
    for one, other in zip(without.epoch(0), with_it.epoch(0), strict=True):
        assert one.warm is None
        assert (one.rows == other.rows).all()
        torch.testing.assert_close(one.user, other.user, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(one.item, other.item, rtol=0, atol=0, equal_nan=True)


def with_vectors(world: Path, folder: Path, size: int = 3) -> Path:
    """Copy the world, with a vector of every user and of every second item: its place."""
    for path in world.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for name, every in (("user", 1), ("item", 2)):
        ids = pq.read_table(world / f"{name}s.parquet")[f"{name}_id"].to_pylist()
        vectors = [[float(place)] * size for place in range(len(ids))]
        table = pa.table({f"{name}_id": ids[::every], "vector": vectors[::every]})
        pq.write_table(table, folder / f"{name}_factors.parquet")
    return folder


def test_given_vectors_are_those_of_the_batchs_users_and_candidates(
    world: Path, tmp_path: Path
) -> None:
    folder = with_vectors(world, tmp_path)
    found = batches_of(
        folder,
        losses=[{"kind": "reconstruction"}],
        similarity="inner_product",
        negatives=[{"kind": "in_batch"}, {"kind": "mixed", "n": 8}],
    )[1]
    for batch in found.epoch(0):
        (given,) = batch.given.values()
        assert (given.users[:, 1] == batch.users).all()
        odd = batch.items % 2 == 1
        assert given.items[odd].isnan().all()
        assert (given.items[~odd, 2] == batch.items[~odd]).all()
        assert len(given.items) == batch.candidate.shape[1] > len(batch.rows)


def test_no_vectors_are_read_unless_a_loss_names_them(batches: Batches) -> None:
    assert not batches.given
    assert not next(batches.epoch(0)).given


def test_a_loss_that_cannot_have_what_it_needs_stops_before_training(
    world: Path, tmp_path: Path
) -> None:
    folder = with_vectors(world, tmp_path)
    raw = world_config(folder)
    bare = {side: {"content": raw[side]["content"]} for side in ("user", "item")}
    with pytest.raises(ConfigError, match=r"losses\.distillation: the warm view .* neither user"):
        batches_of(folder, losses=BOTH_VIEWS, **bare)
    teacher = {"users": "user_factors.parquet", "items": "item_factors.parquet"}
    matching = {"kind": "distillation", "match": "vectors", "teacher": teacher}
    with pytest.raises(ConfigError, match="towers' length 16, the files hold 3"):
        batches_of(folder, losses=[matching])
    lost = {"kind": "reconstruction", "factors": {"users": "nowhere.parquet"}}
    with pytest.raises(DataError, match=r"nowhere\.parquet: no such file"):
        batches_of(folder, losses=[lost], similarity="inner_product")
