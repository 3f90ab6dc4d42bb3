from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.contract.errors import ConfigError
from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, PADDING_ROW, UNKNOWN_ROW
from export.contract.side import SIDES, SideName
from tests.training.conftest import dat_config, world_config
from training.augmented import AugmentedInput
from training.batches import tensors
from training.config import parse_config
from training.losses.base import SideVectors
from training.model import TwoTower
from training.prepare import Prepared, make_batches, make_encoders, prepare

KNOWN = FIRST_WORD_ROW + 1
OWN = {"user": "own", "item": "own_id"}


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    raw = dat_config(world)
    raw["dropout"] = {"user": 0.25, "item": 0.5, "column": 0.2}
    return prepare(parse_config(raw, world / "train.yaml"))


@pytest.fixture
def model(prepared: Prepared) -> TwoTower:
    torch.manual_seed(1)
    model = TwoTower(prepared.config, prepared.schema)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def read(rows: list[int], present: list[bool]) -> tuple[AugmentedInput, dict[str, torch.Tensor]]:
    """Return an input over the second column of `ids`, and a batch with these rows there."""
    torch.manual_seed(0)
    found = AugmentedInput(1, torch.nn.Embedding(KNOWN + 1, 2))
    with torch.no_grad():
        found.default.copy_(torch.tensor([5.0, 7.0]))
    ids = torch.tensor([[FIRST_WORD_ROW, row] for row in rows])
    return found, {"ids": ids, "present": torch.tensor(present).unsqueeze(1)}


def test_an_entity_in_sight_has_the_row_of_its_id() -> None:
    found, batch = read([KNOWN, FIRST_WORD_ROW], [True, True])
    augmented = found(batch)
    assert torch.equal(augmented.vectors, found.table.weight[[KNOWN, FIRST_WORD_ROW]])
    assert augmented.is_own.tolist() == [True, True]


@pytest.mark.parametrize("row", [PADDING_ROW, MISSING_ROW, UNKNOWN_ROW])
def test_an_id_that_training_did_not_know_has_the_default(row: int) -> None:
    found, batch = read([row], [True])
    augmented = found(batch)
    assert augmented.vectors.tolist() == [[5.0, 7.0]]
    assert augmented.is_own.tolist() == [False]


def test_a_hidden_entity_has_the_default_and_trains_it_and_not_its_row() -> None:
    found, batch = read([KNOWN, FIRST_WORD_ROW], [False, True])
    augmented = found(batch)
    assert augmented.vectors[0].tolist() == [5.0, 7.0]
    assert augmented.is_own.tolist() == [False, True]
    augmented.vectors.sum().backward()
    assert found.default.grad is not None
    assert found.default.grad.tolist() == [1.0, 1.0]
    assert found.table.weight.grad is not None
    assert found.table.weight.grad.any(dim=1).nonzero().flatten().tolist() == [FIRST_WORD_ROW]


@pytest.mark.parametrize("side", SIDES)
def test_no_vector_of_whoever_is_cold_depends_on_a_row_of_an_id(
    prepared: Prepared, model: TwoTower, side: SideName
) -> None:
    """With every row of the ids spoilt: those hidden, those unknown and those without an id."""
    encoder = make_encoders(prepared)[side].encoder
    name = OWN[side]
    known = prepared.schema.tables[f"{side}.{name}"][0]
    ids = [{name: known}, {name: "never seen"}, {}, {name: known}]
    encoded = encoder.encode(ids) | {"present": np.array([[False], [True], [True], [True]])}
    batch = tensors(encoded)
    before = model.side(side)(batch)
    assert torch.equal(before[1], before[2])
    assert not torch.allclose(before[2], before[3])
    with torch.no_grad():
        model.table(f"{side}.{name}").fill_(1e6)
    after = model.side(side)(batch)
    assert torch.equal(after[:3], before[:3])
    assert not torch.allclose(after[3], before[3])


def test_a_batch_tells_losses_who_is_in_sight(prepared: Prepared, model: TwoTower) -> None:
    batches = make_batches(prepared, make_encoders(prepared))
    shares = []
    for batch in batches.epoch(0):
        scored = batch.scored(model.user.seen(batch.user), model.item.seen(batch.item))
        for side, augmented, inputs in (
            ("user", scored.user_augmented, batch.user),
            ("item", scored.item_augmented, batch.item),
        ):
            assert augmented is not None
            place = prepared.schema.side(side).ids.index(OWN[side])  # type: ignore[arg-type]
            rows, shown = inputs["ids"][:, place], inputs["present"].squeeze(1)
            expected = shown & (rows >= FIRST_WORD_ROW)
            assert torch.equal(augmented.is_own, expected)
            table = model.table(f"{side}.{OWN[side]}")
            assert torch.equal(augmented.vectors[expected], table[rows[expected]])
            shares.append((expected.float().mean(), shown.float().mean()))
    own_share, shown_share = (float(np.mean(one)) for one in zip(*shares, strict=True))
    assert 0.2 < own_share < 0.9 * shown_share  # what dropout takes singly is missing too


def test_of_a_tower_that_takes_none_losses_are_given_none(world: Path) -> None:
    found = prepare(parse_config(world_config(world), world / "train.yaml"))
    model = TwoTower(found.config, found.schema)
    batch = next(make_batches(found, make_encoders(found)).epoch(0))
    seen = model.item.seen(batch.item)
    assert isinstance(seen, SideVectors)
    assert seen.augmented is None
    assert batch.scored(model.user.seen(batch.user), seen).item_augmented is None


def test_the_own_id_is_no_part_of_the_rest_of_preference(
    prepared: Prepared, model: TwoTower
) -> None:
    widths = model.item.inputs["preference"].widths
    assert widths == (8, 8)  # shown and clicks_7d
    assert model.item.augmented is not None
    assert model.item.augmented.default.shape == (16,)
    assert model.item.tower.default.shape == (16,)  # both together


def told(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, Path("train.yaml"))
    return str(caught.value)


def test_a_side_without_an_own_id_is_told_what_to_add() -> None:
    raw = dat_config(Path())
    del raw["user"]["preference"]["own"]
    message = told(raw)
    assert "user.preference: the tower 'dat'" in message
    assert "add own_id: {kind: category, aggregate: identity, dim: 16}" in message


def test_an_own_id_of_another_width_is_told_the_right_one() -> None:
    raw = dat_config(Path())
    raw["item"]["preference"]["own_id"]["dim"] = 12
    assert "item.preference.own_id.dim: got 12" in told(raw)
    del raw["item"]["preference"]["own_id"]["dim"]
    message = told(raw)
    assert "item.preference.own_id.dim: got 8" in message  # the tower's embedding
    assert "write dim: 16" in message


def test_two_own_ids_are_one_too_many() -> None:
    raw = dat_config(Path())
    raw["user"]["preference"]["again"] = dict(raw["user"]["preference"]["own"])
    assert "got own and again, keep one" in told(raw)


@pytest.mark.parametrize(
    "vocabulary",
    [{"vocabulary": "hashed", "buckets": 9}, {"vocabulary": "given", "words_from": ["u1"]}],
    ids=["hashed", "given"],
)
def test_rows_for_ids_that_no_training_saw_are_refused(vocabulary: dict[str, Any]) -> None:
    raw = dat_config(Path())
    raw["user"]["preference"]["own"] |= vocabulary
    message = told(raw)
    assert f"user.preference.own.vocabulary: got {vocabulary['vocabulary']!r}" in message
    assert "needs 'learned'" in message


def test_what_a_side_without_such_a_tower_has_is_not_asked() -> None:
    raw = dat_config(Path())
    raw["losses"] = raw["losses"][:1]
    del raw["user"]["preference"]["own"]
    raw["user_tower"] = {"kind": "dropoutnet", "dim": 16, "embedding": 8}
    assert parse_config(raw, Path("train.yaml")).towers[0].kind == "dropoutnet"
