from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from export.contract.features import FIRST_WORD_ROW, UNKNOWN_ROW
from export.contract.schema import Schema
from export.contract.side import SIDES, Record, SideName
from tests.training.growing.conftest import grown_config, grown_of, parent_of
from training.batches import tensors
from training.encoder import Encoder
from training.growing.parent import Parent
from training.growing.takeover import take_over
from training.model import TwoTower
from training.prepare import Prepared
from training.run import Reporter, new_model
from training.towers import TowerConfig

KINDS = [str(one.model_fields["kind"].default) for one in get_args(get_args(TowerConfig)[0])]
FOLLOWED: dict[str, list[dict[str, Any]]] = {
    "additive": [{"hidden": [6]}, {}],
    "mlp": [{}, {"hidden": [], "absent": "zeros"}],
    "dat": [{}, {"hidden": []}],
    "dropoutnet": [
        {},
        {"content": [], "activation": "tanh"},
        {"preference": [], "absent": "zeros"},
        {"content": [], "preference": [], "hidden": []},
    ],
}
Raw = dict[str, Any]


def with_tower(raw: Raw, kind: str, **options: Any) -> Raw:
    """Give a configuration a tower of this kind, and what it asks for."""
    raw["tower"] = {"kind": kind, "dim": 8, **options}
    del raw["item"]["content"]["mixed"]  # the hash of a row, and a new word has a row of its own
    if kind == "dat":
        for side, name in (("user", "own"), ("item", "own_id")):
            own = {"kind": "category", "aggregate": "identity", "dim": 8}
            raw[side]["preference"][name] = own
    return raw


def reversed_features(raw: Raw) -> Raw:
    """Declare the same features the other way round."""
    sides = {
        side: {group: dict(reversed(of.items())) for group, of in raw[side].items()}
        for side in SIDES
    }
    return raw | sides


def begun(prepared: Prepared) -> tuple[TwoTower, list[str]]:
    """Return a new model with what its parent learned, and what is said of that."""
    assert prepared.parent is not None
    torch.manual_seed(2)
    model = TwoTower(prepared.config, prepared.schema)
    return model.eval(), take_over(model, prepared.config, prepared.parent)


def model_of(parent: Parent) -> TwoTower:
    model = TwoTower(parent.config, parent.schema)
    model.load_state_dict(parent.weights)
    return model.eval()


@torch.no_grad()
def vectors(model: TwoTower, schema: Schema, side: SideName, records: list[Record]) -> Any:
    """Return float[records, dim]; every other one is seen without its preference."""
    arrays = Encoder(schema, side).encode(records)
    if schema.side(side).preference:
        arrays["present"] = np.arange(len(records))[:, None] % 2 == 0
    return model.side(side)(tensors({n: arrays[n] for n in schema.side(side).encoded})).numpy()


def records_of(prepared: Prepared, side: SideName) -> list[Record]:
    """Return what is known of all entities, with made up preference."""
    table = prepared.data.users if side == "user" else prepared.data.items
    rng, schema = np.random.default_rng(3), prepared.schema
    words = schema.words(side)
    return [
        record
        | {
            name: feature.invent(words.get(name, ()), rng)
            for name, feature in schema.side(side).features.items()
            if name not in record and not feature.made_of
        }
        for record in table.records
    ]


def assert_same_vectors(prepared: Prepared, model: TwoTower) -> None:
    parent = prepared.parent
    assert parent is not None
    for side in SIDES:
        records = records_of(prepared, side)
        before = vectors(model_of(parent), parent.schema, side, records)
        np.testing.assert_allclose(
            vectors(model, prepared.schema, side, records), before, atol=1e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_step_every_record_has_the_vector_that_the_parent_gave_it(
    kind: str, early: Path, later: Path
) -> None:
    raw = with_tower(grown_config(early), kind)
    grown = with_tower(grown_config(later), kind)
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    model, notes = begun(prepared)
    assert_same_vectors(prepared, model)
    assert notes[2] == "from first: begin afresh: none"
    fresh = TwoTower(prepared.config, prepared.schema).eval()
    with pytest.raises(AssertionError):
        assert_same_vectors(prepared, fresh)


@pytest.mark.parametrize(
    ("kind", "options"), [(kind, one) for kind, forms in FOLLOWED.items() for one in forms]
)
def test_what_was_learned_is_found_by_name_wherever_the_feature_stands(
    kind: str, options: Raw, early: Path, later: Path
) -> None:
    raw = with_tower(grown_config(early), kind, **options)
    grown = reversed_features(with_tower(grown_config(later), kind, **options))
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    model, notes = begun(prepared)
    assert notes[2] == "from first: begin afresh: none"
    assert_same_vectors(prepared, model)


@pytest.mark.parametrize("kind", [one for one in KINDS if one not in FOLLOWED])
def test_a_tower_that_does_not_follow_its_features_begins_afresh_over_others(
    kind: str, early: Path, later: Path
) -> None:
    raw, grown = with_tower(grown_config(early), kind), with_tower(grown_config(later), kind)
    grown["item"] = reversed_features(grown)["item"]
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    model, notes = begun(prepared)
    assert "item tower's tower." in notes[2]
    assert "user tower's" not in notes[2]
    for name, reason in told(notes[2]).items():
        assert name.startswith("item tower's tower.")
        assert reason == "its features are others there"
    parent = prepared.parent
    assert parent is not None
    own, known = model.item.state_dict(), model_of(parent).item.state_dict()
    inputs = [name for name in own if name.startswith("inputs.") and "tables" not in name]
    assert inputs
    assert {len(own[name]) for name in inputs} == {len(known[name]) for name in inputs}


def told(note: str) -> dict[str, str]:
    """Return what a note says begins afresh, and why."""
    _, _, listed = note.partition("afresh: ")
    parts = [one.removesuffix(")").partition(" (") for one in listed.split("), ")]
    return {name: reason for name, _, reason in parts}


def test_known_words_keep_their_rows_and_new_ones_begin_as_unknown(
    early: Path, later: Path
) -> None:
    raw, grown = grown_config(early), grown_config(later)
    grown["item"]["content"]["colour"]["words_from"] = ["grey", "blue", "green"]
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    parent, schema = prepared.parent, prepared.schema
    assert parent is not None
    model, known = begun(prepared)[0], model_of(parent)
    own = {"user.region", "user.tab", "user.region_tab", "item.colour", "item.pair"}
    assert {*schema.tables} == {*parent.schema.tables} == own | {"item", "tag", "maker", "word"}
    for table, words in schema.tables.items():
        before = parent.schema.tables[table]
        assert words[: len(before)] == before
        assert len(set(words)) == len(words)
        rows, rows_there = model.table(table), known.table(table)
        assert torch.equal(rows[: len(rows_there)], rows_there)
        new = rows[FIRST_WORD_ROW + len(before) :]
        assert torch.equal(new, rows_there[UNKNOWN_ROW].expand_as(new))
    assert schema.tables["item.colour"] == ("red", "green", "blue", "grey")
    grew = {t for t, words in schema.tables.items() if len(words) > len(parent.schema.tables[t])}
    assert {"item", "maker", "item.colour", "item.pair"} <= grew
    ids = set(prepared.data.items.ids)
    assert set(parent.schema.tables["item"]) - ids  # some words are not seen any more


def test_a_word_that_comes_too_rarely_gets_no_row(early: Path, later: Path) -> None:
    raw, grown = grown_config(early), grown_config(later)
    grown["item"]["content"]["title"]["min_count"] = 1000
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    assert prepared.parent is not None
    assert prepared.schema.tables["word"] == prepared.parent.schema.tables["word"]


def test_what_is_not_shared_begins_afresh_and_is_named_with_its_reason(
    early: Path, later: Path
) -> None:
    raw, grown = grown_config(early), grown_config(later)
    raw["tower"]["hidden"] = grown["tower"]["hidden"] = [6]
    del raw["user"]["content"]["age"]
    del grown["user"]["preference"]["taste"]
    grown["item"]["content"]["maker"] = {"kind": "category", "table": "firm"}
    grown["user"]["preference"]["makers"]["table"] = "firm"
    grown["user"]["content"]["region"]["dim"] = 4
    raw["user"]["content"]["place"] = {"kind": "tags"}
    grown["item"]["content"]["weight_kg"]["log1p"] = True
    grown["item"]["content"]["length_s"]["buckets"] = 6
    grown["item"]["content"]["pair"]["table"] = "pairs"
    grown["user"]["content"]["both"] = {"kind": "cross", "of": ["region", "place"]}
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    model, notes = begun(prepared)
    parent = prepared.parent
    assert parent is not None
    assert told(notes[2]) == {
        "table user.region": "width 16 there",
        "table firm": "absent there",
        "table item.length_s": "other buckets there",
        "table user.place": "kind tags there",
        "user.content.age": "absent there",
        "user.content.place": "kind tags there",
        "user.content.region": "width 16 there",
        "user.content.both": "absent there",
        "table user.both": "absent there",
        "table pairs": "absent there",
        "table item.mixed": "made of maker, whose rows begin afresh",
        "item.content.mixed": "made of maker, whose rows begin afresh",
        "item.content.weight_kg": "other log1p there",
        "item.content.length_s": "other buckets there",
    }
    assert notes[3] == ("from first: left behind: user.preference.taste")
    known = model_of(parent)
    both = [(model.item.pieces(), known.item.pieces()), (model.user.pieces(), known.user.pieces())]
    taken = {
        (name, feature)
        for own, there in both
        for (name, feature), piece in own.items()
        if (name, feature) in there and torch.equal(piece.values, there[name, feature].values)
    }
    assert ("inputs.preference.slope", "preference.click_rate") in taken
    assert ("tower.groups.content.network.0.weight", "content.title") in taken
    assert ("tower.groups.content.network.0.weight", "content.weight_kg") not in taken
    assert ("tower.groups.content.maps.weight", "content.region") not in taken
    assert ("inputs.content.dense.weight", "content.look") in taken
    assert ("tower.groups.content.network.3.bias", "") not in taken  # there is no fourth layer
    assert ("tower.groups.content.network.2.bias", "") in taken


def test_what_losses_learn_goes_over_by_their_kind_unless_it_is_fixed(
    early: Path, later: Path
) -> None:
    raw, grown = grown_config(early), grown_config(later)
    pointwise = {"kind": "pointwise", "scale": 3.0}
    raw["losses"] = [pointwise, *raw["losses"]]
    for losses, scale in (
        ([*grown["losses"], pointwise], None),
        ([*grown["losses"], pointwise | {"learned": False}], 3.0),
    ):
        one = grown | {"losses": losses}
        prepared = grown_of(one, later, parent_of(raw, early, one, later))
        assert prepared.parent is not None
        model, known = begun(prepared)[0], model_of(prepared.parent)
        found, there = (log_scale(one) for one in (model.losses[1], known.losses[0]))
        assert found.exp().item() == pytest.approx(scale or there.exp().item())
        assert there.exp().item() != pytest.approx(3.0, abs=1e-4)


def log_scale(loss: torch.nn.Module) -> torch.Tensor:
    return loss.get_parameter("log_scale")


def test_given_word_vectors_are_for_words_that_the_parent_did_not_know(
    early: Path, later: Path
) -> None:
    raw, grown = grown_config(early), grown_config(later)
    grown["item"]["content"]["title"]["vectors"] = "words.vec"
    parent = parent_of(raw, early, grown, later)
    words = grown_of(grown_config(later), later, parent).schema.tables["word"]
    kept = len(parent.schema.tables["word"])
    assert 0 < kept < len(words)
    lines = [f"{word} {' '.join(['1'] * 16)}\n" for word in words]
    (later / "words.vec").write_text("".join(lines), encoding="utf-8")
    lines = []
    model = new_model(grown_of(grown, later, parent), Reporter(note=lines.append))
    rows, known = model.table("word"), model_of(parent).table("word")
    assert torch.equal(rows[: len(known)], known)
    new = rows[len(known) :]
    assert torch.allclose(new, new[0, 0].expand_as(new))
    usual = known[FIRST_WORD_ROW:].norm(dim=1).mean()
    assert torch.allclose(new.norm(dim=1), usual)
    count = len(words) - kept
    assert f"item.title: {count} of {count} new words begin from words.vec" in lines


def test_a_ranker_begins_afresh_and_the_log_says_so(early: Path, later: Path) -> None:
    raw, grown = grown_config(early), grown_config(later)
    raw["ranker"] = grown["ranker"] = {"kind": "din"}
    prepared = grown_of(grown, later, parent_of(raw, early, grown, later))
    assert told(begun(prepared)[1][2]) == {"ranker": "a ranker always does"}
