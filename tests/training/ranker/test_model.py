import numpy as np
import pytest
import torch
from torch import Tensor

from training.config import TrainConfig
from training.prepare import Prepared
from training.ranker.model import Ranker
from training.ranker.rows import RankerBatch, RankerRows
from training.ranker.train import baseline_of, new_ranker
from training.ranker.validate import logits_of


@pytest.fixture
def ranker(prepared: Prepared) -> Ranker:
    assert prepared.config.ranker is not None
    found = new_ranker(prepared.config.ranker, prepared)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(std=0.4)
    return found.eval()


@pytest.fixture
def batch(rows: RankerRows) -> RankerBatch:
    return rows.batch(np.flatnonzero(rows.history.lengths > 0)[:16])


def shaken(arrays: dict[str, Tensor], names: list[str], columns: list[int]) -> dict[str, Tensor]:
    """Return the arrays with other values in some columns of `ids` or `values`, or whole bags."""
    found = dict(arrays)
    for name in names:
        changed = arrays[name].clone()
        at = columns or range(changed.shape[1])
        for column in at:
            further = 0 if changed.dtype == torch.int64 else 3  # rows of tables are not invented
            changed[:, column] = changed[:, column].flip(0) + further
        found[name] = changed
    return found


def test_what_is_hidden_reaches_neither_code_nor_score(
    ranker: Ranker, batch: RankerBatch, rows: RankerRows
) -> None:
    side = rows.items.side
    preference = [side.ids.index("own_id")], [side.values.index("shown")]
    hidden = {**batch.item, "present": torch.zeros(16, 1, dtype=torch.bool)}
    other = shaken(shaken(hidden, ["ids"], preference[0]), ["values"], preference[1])
    assert torch.equal(ranker.code(hidden), ranker.code(other))
    assert not torch.equal(ranker.code(hidden), ranker.code(batch.item))
    content = shaken(hidden, ["tags"], [])
    assert not torch.equal(ranker.code(hidden), ranker.code(content))


def test_a_key_is_of_what_does_not_move(
    ranker: Ranker, batch: RankerBatch, rows: RankerRows
) -> None:
    side = rows.items.side
    counted = shaken(batch.item, ["values"], [side.values.index("shown")])
    assert torch.equal(ranker.code.key(batch.item), ranker.code.key(counted))
    assert not torch.equal(ranker.code(batch.item), ranker.code(counted))
    renamed = shaken(batch.item, ["ids"], [side.ids.index("own_id")])
    assert not torch.equal(ranker.code.key(batch.item), ranker.code.key(renamed))


def test_a_code_begins_with_the_key(ranker: Ranker, batch: RankerBatch) -> None:
    code = ranker.code(batch.item)
    assert code.shape == (16, ranker.code.width)
    assert torch.equal(code[:, : ranker.code.dim], ranker.code.key(batch.item))


def test_a_hidden_user_is_scored_by_content_context_and_item(
    ranker: Ranker, batch: RankerBatch
) -> None:
    cold = {**batch.user, "present": torch.zeros(16, 1, dtype=torch.bool)}
    codes, keys = ranker.code(batch.item), ranker.code.key(batch.met)[batch.history]
    nothing = torch.zeros_like(batch.known)
    found = ranker.scorer(cold, keys, nothing, codes)
    other = ranker.scorer(shaken(cold, ["taste"], []), -keys, nothing, codes)
    assert torch.equal(found, other)
    assert not torch.equal(found, ranker.scorer(batch.user, keys, batch.known, codes))
    tab = shaken(cold, ["ids"], [])
    assert not torch.equal(found, ranker.scorer(tab, keys, nothing, codes))


def test_absurd_values_are_scored_too(ranker: Ranker, batch: RankerBatch) -> None:
    wild = {**batch.item, "values": torch.full_like(batch.item["values"], 1e12)}
    with torch.no_grad():
        for parameter in ranker.parameters():
            parameter.mul_(50)
    huge = {**batch.user, "values": torch.full_like(batch.user["values"], -1e12)}
    keys = ranker.code.key(batch.met)[batch.history]
    found = ranker.scorer(huge, keys, batch.known, ranker.code(wild)).sigmoid()
    assert torch.isfinite(found).all()


def test_the_history_as_a_bag_is_no_feature_of_the_user(
    rows: RankerRows, ranker: Ranker, prepared: Prepared
) -> None:
    assert "recent" in prepared.schema.user.encoded
    assert "recent" not in rows.users.side.encoded
    groups = ranker.scorer.inputs
    assert "recent" not in groups["preference"].names  # type: ignore[operator]


def test_din_and_base_differ_by_the_history_alone(prepared: Prepared, batch: RankerBatch) -> None:
    config: TrainConfig = prepared.config
    assert config.ranker is not None
    found = [new_ranker(config.ranker, prepared).eval()]
    beside = baseline_of(config.ranker)
    assert beside is not None
    found.append(new_ranker(beside, prepared).eval())
    names = [{n for n, _ in one.named_parameters() if "pooling" not in n} for one in found]
    assert names[0] == names[1]
    found[1].load_state_dict(found[0].state_dict(), strict=False)
    mine, theirs = (logits_of(one, batch) for one in found)
    assert not torch.allclose(mine, theirs)
    batch.known.fill_(False)
    mine, theirs = (logits_of(one, batch) for one in found)
    assert torch.allclose(mine, theirs, atol=1e-6)
