from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, PADDING_ROW, UNKNOWN_ROW
from export.contract.features.vocabulary import bucket
from export.contract.schema import Schema
from export.contract.side import Arrays, Side
from tests.export.contract.encoded import OTHER, encode
from tests.training.conftest import world_config
from training.config import parse_config
from training.dropout import draw_states, forget_words, hide_columns
from training.model import TwoTower
from training.prepare import prepare
from training.run import Reporter, new_model, run_training

shares = st.floats(0, 1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def side() -> Side:
    return Side.model_validate(
        {
            "content": {"topic": {"kind": "category"}, "size": {"kind": "number"}},
            "context": {
                "tab": {"kind": "category"},
                "tab_topic": {"kind": "cross", "of": ["tab", "topic"]},
            },
            "preference": {
                "clicks": {"kind": "number"},
                "recent": {"kind": "sequence"},
                "taste": {"kind": "tags", "weights": True},
                "photo": {"kind": "vector", "size": 2},
            },
        }
    )


def arrays(rows: int) -> Arrays:
    return {
        "ids": np.full((rows, 3), 7),
        "values": np.full((rows, 2), 0.5, dtype=np.float32),
        "recent": np.full((rows, 3), 8),
        "taste": np.full((rows, 2), 9),
        "photo": np.full((rows, 2), 0.5, dtype=np.float32),
        "taste.weights": np.full((rows, 2), 2.0, dtype=np.float32),
        "present": np.ones((rows, 1), dtype=bool),
    }


@given(st.integers(1, 200), shares, shares, st.integers(0, 9))
def test_each_state_has_its_exact_share(size: int, user: float, item: float, seed: int) -> None:
    everyone = np.ones(size, dtype=bool)
    states = draw_states(everyone, everyone, user, item, rng(seed))
    cold_users = round(user * size)
    assert (~states.user).sum() == cold_users
    assert (~states.item & states.user).sum() == round(item * (size - cold_users))
    assert (~states.item & ~states.user).sum() == round(item * cold_users)


@given(st.integers(1, 100), shares, shares, shares, st.integers(0, 9))
def test_what_is_absent_by_nature_counts_and_stays_absent(
    size: int, absent: float, user: float, item: float, seed: int
) -> None:
    draw = rng(seed)
    users, items = draw.random(size) >= absent, draw.random(size) >= absent
    states = draw_states(users, items, user, item, draw)
    assert not (states.user & ~users).any()
    assert not (states.item & ~items).any()
    assert (~states.user).sum() == max(round(user * size), (~users).sum())


def test_more_natural_absence_than_asked_for_hides_nothing() -> None:
    users = np.arange(10) >= 5
    states = draw_states(users, np.ones(10, dtype=bool), 0.3, 0.0, rng())
    assert (states.user == users).all()
    assert states.item.all()


def test_the_hidden_are_drawn_anew() -> None:
    everyone = np.ones(50, dtype=bool)
    draw = rng()
    first, second = (draw_states(everyone, everyone, 0.5, 0.5, draw) for _ in range(2))
    assert (first.user != second.user).any()
    assert (first.item != second.item).any()


def test_shares_name_the_four_states() -> None:
    user = np.array([True, True, True, False, False, True, True, True])
    item = np.array([True, True, True, True, False, False, True, True])
    states = draw_states(user, item, 0.0, 0.0, rng())
    found = {"warm": 5 / 8, "user_cold": 1 / 8, "item_cold": 1 / 8, "both_cold": 1 / 8}
    assert states.shares() == found


def test_columns_are_hidden_one_by_one_and_content_never() -> None:
    found = arrays(20_000)
    hide_columns(found, side(), 0.25, rng())
    hidden = {
        "tab": found["ids"][:, 1] == MISSING_ROW,
        "clicks": np.isnan(found["values"][:, 1]),
        "recent": found["recent"][:, 0] == MISSING_ROW,
        "taste": found["taste"][:, 0] == MISSING_ROW,
        "photo": np.isnan(found["photo"]).all(axis=1),
    }
    for mask in hidden.values():
        assert mask.mean() == pytest.approx(0.25, abs=0.015)
    together = np.logical_and.reduce(list(hidden.values()))
    assert together.mean() == pytest.approx(0.25**5, abs=0.003)
    assert (found["ids"][:, 0] == 7).all()
    cross = found["ids"][:, 2] == MISSING_ROW  # never by itself, always with what it is made of
    assert (cross == hidden["tab"]).all()
    assert (found["values"][:, 0] == 0.5).all()


def test_a_hidden_bag_is_the_missing_word_alone() -> None:
    found = arrays(4)
    hide_columns(found, side(), 1.0, rng())
    assert (found["recent"] == [MISSING_ROW, PADDING_ROW, PADDING_ROW]).all()
    assert (found["taste"] == [MISSING_ROW, PADDING_ROW]).all()
    assert (found["taste.weights"] == [1, 0]).all()


def test_a_share_of_zero_changes_nothing() -> None:
    found = arrays(100)
    hide_columns(found, side(), 0.0, rng())
    for name, array in arrays(100).items():
        assert (found[name] == array).all()


def worded() -> Side:
    return Side.model_validate(
        {
            "content": {
                "pair": {"kind": "cross", "of": ["maker", "topic"]},
                "maker": {"kind": "category"},
                "topic": {"kind": "category"},
                "code": {"kind": "category", "vocabulary": "hashed", "buckets": 50},
                "labels": {"kind": "tags"},
                "size": {"kind": "number", "buckets": 4},
            },
            "preference": {"own": {"kind": "category", "aggregate": "identity"}},
        }
    )


def test_words_of_content_are_forgotten_one_by_one() -> None:
    side, rows = worded(), 20_000
    found = {"ids": np.full((rows, len(side.ids)), 7), "labels": np.full((rows, 3), 8)}
    forget_words(found, side, 0.2, rng())
    unknown = {name: found["ids"][:, column] == UNKNOWN_ROW for column, name in enumerate(side.ids)}
    for name in ("maker", "topic"):
        assert unknown[name].mean() == pytest.approx(0.2, abs=0.01)
    assert (unknown["maker"] & unknown["topic"]).mean() == pytest.approx(0.04, abs=0.005)
    assert (unknown["pair"] == unknown["maker"] | unknown["topic"]).all()
    assert (found["labels"] == UNKNOWN_ROW).mean(axis=0) == pytest.approx([0.2] * 3, abs=0.01)
    for name in ("code", "size", "own"):
        assert not unknown[name].any()


def test_what_is_missing_is_not_forgotten() -> None:
    side = worded()
    found = {
        "ids": np.full((9, len(side.ids)), MISSING_ROW),
        "labels": np.array([[MISSING_ROW, PADDING_ROW]] * 9),
    }
    forget_words(found, side, 1.0, rng())
    assert (found["ids"] == MISSING_ROW).all()
    assert (found["labels"] == [MISSING_ROW, PADDING_ROW]).all()


SOURCES: dict[str, dict[str, Any]] = {
    "content": {
        "maker": {"kind": "category"},
        "topic": {"kind": "category"},
        "code": {"kind": "category", "vocabulary": "hashed", "buckets": 50},
    },
    "context": {"tab": {"kind": "category"}},
    "preference": {"taste": {"kind": "category"}},
}
CROSSES = {
    "content": {
        "pair": ["maker", "topic"],
        "coded": ["code", "maker"],
    },
    "context": {"shown": ["tab", "maker"]},
    "preference": {"liked": ["topic", "taste"]},
}
WORDS: tuple[str, ...] = ("x", "y", "z")


def crossed() -> Schema:
    """Return a schema with crosses of content in all groups, each learned and hashed."""
    groups = {
        group: {
            **{f"{n}_learned": {"kind": "cross", "of": of} for n, of in CROSSES[group].items()},
            **{
                f"{n}_hashed": {"kind": "cross", "of": of, "vocabulary": "hashed", "buckets": 997}
                for n, of in CROSSES[group].items()
            },
            **features,
        }
        for group, features in SOURCES.items()
    }
    tables = {f"user.{name}": WORDS for name in ("maker", "topic", "tab", "taste")}
    codes = [str(bucket(word, 50)) for word in WORDS]
    for name in ("pair", "coded", "shown", "liked"):
        firsts = codes if name == "coded" else WORDS
        pairs = tuple(f"{one}\x1f{other}" for one in firsts for other in WORDS)
        tables[f"user.{name}_learned"] = pairs
    return Schema(user=Side.model_validate(groups), item=OTHER, dim=4, tables=tables)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_forgotten_word_is_what_the_graph_makes_of_an_unknown_one(share: float) -> None:
    schema, draw = crossed(), rng()
    side = schema.user
    records = [
        {name: str(draw.choice(WORDS)) for name in side.given if draw.random() < 0.8}
        for _ in range(500)
    ]
    found = encode(schema, records, side="user")
    forget_words(found, side, share, rng(1))
    unknown = {n: found["ids"][:, side.ids.index(n)] == UNKNOWN_ROW for n in ("maker", "topic")}
    assert all(one.any() for one in unknown.values())
    as_served = [
        record | {name: "never seen" for name, rows in unknown.items() if rows[at]}
        for at, record in enumerate(records)
    ]
    assert (found["ids"] == encode(schema, as_served, side="user")["ids"]).all()


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_the_row_of_unknown_words_is_trained_by_forgetting_alone(
    world: Path, tmp_path: Path, unknown: float
) -> None:
    raw = world_config(world)
    raw["user"]["content"]["region"]["min_count"] = 1  # so training knows every word
    raw["dropout"] = {"unknown": unknown}
    raw["training"] |= {"epochs": 1, "refit": False}
    config = parse_config(raw, world / "train.yaml")
    prepared = prepare(config)
    table = new_model(prepared, Reporter()).table("user.region")
    before = table[[UNKNOWN_ROW, FIRST_WORD_ROW]].detach().clone()
    model = TwoTower(config, prepared.schema)
    model.load_state_dict(torch.load(run_training(config, tmp_path / "run").weights))
    moved = (model.table("user.region")[[UNKNOWN_ROW, FIRST_WORD_ROW]] != before).any(dim=1)
    assert moved.tolist() == [unknown > 0, True]
