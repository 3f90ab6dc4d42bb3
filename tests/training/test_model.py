from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, PADDING_ROW
from export.contract.side import SideName
from tests.training.conftest import world_config
from training.batches import tensors
from training.config import parse_config
from training.model import FeatureInputs, TwoTower
from training.prepare import Prepared, make_encoders, prepare
from training.towers import DropoutNetConfig

SIDES: tuple[SideName, ...] = ("user", "item")
Inputs = dict[str, Tensor]
Rows = dict[SideName, Inputs]


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    raw = world_config(world)
    raw["tower"]["hidden"] = [8]
    raw["item"]["content"]["maker"]["dim"] = raw["user"]["preference"]["makers"]["dim"] = 5
    raw["item"]["preference"]["shown"]["dim"] = 20
    return prepare(parse_config(raw, world / "train.yaml"))


@pytest.fixture
def model(prepared: Prepared) -> TwoTower:
    torch.manual_seed(3)
    model = TwoTower(prepared.config, prepared.schema)
    with torch.no_grad():  # networks begin at zero, and would hide what reaches them
        for parameter in model.networks():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def rows(prepared: Prepared) -> Rows:
    """Encode the first clicked train rows, twelve a side."""
    clicked = np.flatnonzero(prepared.log.is_train & (prepared.log.label > 0))[-12:]
    encoders = make_encoders(prepared)
    return {s: tensors(encoders[s].rows(clicked).batch(np.arange(12))) for s in SIDES}


def changed(inputs: Inputs, prepared: Prepared, side_name: SideName, group: str) -> Inputs:
    """Change every value of one group."""
    side = prepared.schema.side(side_name)
    found = {name: tensor.clone() for name, tensor in inputs.items()}
    for name in getattr(side, group):
        if name in side.ids:
            found["ids"][:, side.ids.index(name)] = FIRST_WORD_ROW + 1
        elif name in side.values:
            found["values"][:, side.values.index(name)] += 3
        else:
            found[name] = torch.full_like(found[name], FIRST_WORD_ROW + 1)
    return found


@pytest.mark.parametrize("side", SIDES)
def test_vectors_have_length_one(model: TwoTower, rows: Rows, side: SideName) -> None:
    vectors = model.side(side)(rows[side])
    assert vectors.shape == (12, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(12))


@pytest.mark.parametrize("side", SIDES)
def test_vectors_of_an_inner_product_have_the_length_the_tower_gives(
    model: TwoTower, prepared: Prepared, rows: Rows, side: SideName
) -> None:
    config = prepared.config.model_copy(update={"similarity": "inner_product"})
    raw = TwoTower(config, prepared.schema).eval()
    raw.load_state_dict(model.state_dict())
    vectors = raw.side(side)(rows[side])
    assert (vectors.norm(dim=1) - 1).abs().min() > 1e-3
    torch.testing.assert_close(functional.normalize(vectors, dim=1), model.side(side)(rows[side]))


def test_embedding_is_the_width_of_features_that_name_none(prepared: Prepared) -> None:
    tower = DropoutNetConfig(dim=16, embedding=7)
    found = TwoTower(prepared.config.model_copy(update={"tower": tower}), prepared.schema)
    groups = [m for m in found.item.modules() if isinstance(m, FeatureInputs)]
    assert [group.widths for group in groups] == [(5, 7, 7), (7, 20, 7)]


@pytest.mark.parametrize("side", SIDES)
def test_with_present_0_no_preference_value_changes_the_vector(
    model: TwoTower, rows: Rows, prepared: Prepared, side: SideName
) -> None:
    other = changed(rows[side], prepared, side, "preference")
    tower = model.side(side)
    for present in (False, True):
        flags = torch.full((12, 1), present)
        one, two = (tower(inputs | {"present": flags}) for inputs in (rows[side], other))
        assert torch.equal(one, two) is not present


@pytest.mark.parametrize("side", SIDES)
def test_content_counts_with_and_without_preference(
    model: TwoTower, rows: Rows, prepared: Prepared, side: SideName
) -> None:
    other = changed(rows[side], prepared, side, "content")
    for present in (False, True):
        flags = {"present": torch.full((12, 1), present)}
        one, two = (model.side(side)(inputs | flags) for inputs in (rows[side], other))
        assert not torch.allclose(one, two)


def test_a_user_vector_depends_on_no_item_input(model: TwoTower, rows: Rows) -> None:
    """It is a function of the user's arrays, and only the shared tables are also the item's."""
    item_inputs = {
        k: v.clone().requires_grad_(v.is_floating_point()) for k, v in rows["item"].items()
    }
    model.item(item_inputs)  # leaves no state behind
    before = model.user(rows["user"])
    with torch.no_grad():
        shared = set(model.user.parameters()) & set(model.item.parameters())
        for parameter in set(model.item.parameters()) - shared:
            parameter.fill_(torch.nan)
    assert torch.equal(model.user(rows["user"]), before)
    model.zero_grad()
    model.user(rows["user"]).sum().backward()
    for parameter in set(model.item.parameters()) - shared:
        assert parameter.grad is None
    assert shared == {table.weight for table in tables_of(model, "item", "tag", "maker")}


def tables_of(model: TwoTower, *names: str) -> list[torch.nn.Embedding]:
    groups = [m for m in model.modules() if isinstance(m, FeatureInputs)]
    found = {name[1:]: table for group in groups for name, table in group.tables.items()}
    tables = [found[name] for name in names]
    return [table for table in tables if isinstance(table, torch.nn.Embedding)]


@pytest.mark.parametrize("side", SIDES)
def test_a_row_gets_the_vector_it_gets_alone(model: TwoTower, rows: Rows, side: SideName) -> None:
    together = model.side(side)(rows[side])
    for row in range(12):
        alone = model.side(side)({name: t[row : row + 1] for name, t in rows[side].items()})
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("side", SIDES)
def test_padding_changes_nothing(model: TwoTower, rows: Rows, side: SideName) -> None:
    longer = dict(rows[side])
    for name in [n for n in longer if longer[n].ndim == 2 and f"{n}.weights" in longer]:
        filler = torch.full((12, 3), PADDING_ROW)
        longer[name] = torch.cat([longer[name], filler], dim=1)
        weights = longer[f"{name}.weights"]
        longer[f"{name}.weights"] = torch.cat([weights, torch.full((12, 3), 9.0)], dim=1)
    if side == "item":
        longer["tags"] = torch.cat([longer["tags"], torch.full((12, 2), PADDING_ROW)], dim=1)
    torch.testing.assert_close(model.side(side)(longer), model.side(side)(rows[side]))


def test_a_missing_number_is_no_zero(model: TwoTower, rows: Rows) -> None:
    zero, missing = ({**rows["item"], "present": torch.ones(12, 1, dtype=torch.bool)} for _ in "12")
    zero["values"] = torch.zeros_like(zero["values"])
    missing["values"] = torch.full_like(zero["values"], torch.nan)
    found = [model.item(inputs) for inputs in (zero, missing)]
    assert not torch.allclose(*found)
    assert all(vector.isfinite().all() for vector in found)


def test_reserved_rows_begin_at_zero_and_words_both_sides_know_at_length_one(
    prepared: Prepared,
) -> None:
    model = TwoTower(prepared.config, prepared.schema)
    tag, region = tables_of(model, "tag", "user/region")
    for table in (tag, region):
        assert not table.weight[:FIRST_WORD_ROW].any()
    assert tag.weight[FIRST_WORD_ROW:].norm(dim=1).mean().item() == pytest.approx(1, rel=0.2)
    assert region.weight[FIRST_WORD_ROW:].norm(dim=1).mean().item() == pytest.approx(0.1, rel=0.2)


def test_equal_words_match_before_any_training(prepared: Prepared) -> None:
    """A user of one taste is nearer to items of that tag than to others."""
    torch.manual_seed(0)
    model = TwoTower(prepared.config, prepared.schema).eval()
    encoders = make_encoders(prepared)
    user = encoders["user"].encoder.encode([{"taste": {"art": 3.0}}, {"taste": {"food": 1.0}}])
    item = encoders["item"].encoder.encode([{"tags": ["art"]}, {"tags": ["food"]}])
    users = model.user(tensors(user | {"present": np.ones((2, 1), dtype=bool)}))
    items = model.item(tensors(item | {"present": np.zeros((2, 1), dtype=bool)}))
    scores = users @ items.T
    assert scores[0, 0] > scores[0, 1] + 0.3
    assert scores[1, 1] > scores[1, 0] + 0.3


def test_dim_is_the_width_of_a_feature(model: TwoTower) -> None:
    groups = [m for m in model.item.modules() if isinstance(m, FeatureInputs)]
    assert [group.widths for group in groups] == [(5, 16, 16), (16, 20, 16)]
    assert tables_of(model, "maker")[0].weight.shape[1] == 5


def test_tables_and_networks_are_all_parameters_each_once(model: TwoTower) -> None:
    parts = [*model.tables(), *model.networks()]
    assert len(parts) == len(set(parts))
    assert set(parts) == set(model.parameters())


def test_a_missing_bag_has_its_own_row(model: TwoTower, rows: Rows) -> None:
    missing = {**rows["item"], "tags": torch.full((12, 1), MISSING_ROW)}
    before = model.item(missing)
    with torch.no_grad():
        tables_of(model, "tag")[0].weight[MISSING_ROW] += 1
    assert not torch.allclose(model.item(missing), before)
