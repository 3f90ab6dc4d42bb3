"""What every kind of ranker holds to, however it pools a history."""

from typing import Any, get_args

import pytest
import torch

from training.ranker import RankerConfig
from training.ranker.options import Pooling

MEMBERS = get_args(get_args(RankerConfig)[0])
DIM = 4
CASES: list[dict[str, Any]] = [{"kind": one.model_fields["kind"].default} for one in MEMBERS]
CASES += [{"kind": "din", "weights": "sum"}, {"kind": "din", "attention": []}]


def pooling(case: dict[str, Any]) -> Pooling:
    torch.manual_seed(3)
    [member] = [one for one in MEMBERS if one.model_fields["kind"].default == case["kind"]]
    found: Pooling = member.model_validate({**case, "dim": DIM}).pooling()
    return found


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.mark.parametrize("is_training", [True, False])
def test_padding_changes_nothing(case: dict[str, Any], is_training: bool) -> None:
    keys, queries = torch.randn(3, 5, DIM), torch.randn(3, DIM)
    known = torch.arange(5) < torch.tensor([[5], [2], [0]])
    longer = torch.cat([keys, 1e6 * torch.randn(3, 4, DIM)], dim=1)
    masked = torch.cat([known, torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    longer[1, 2:] = -3e5
    one, other = pooling(case).train(is_training), pooling(case).train(is_training)
    found, expected = other(longer, masked, queries, None), one(keys, known, queries, None)
    assert torch.allclose(found, expected, atol=1e-6)
    for (name, left), right in zip(one.named_buffers(), other.buffers(), strict=True):
        assert torch.allclose(left, right, atol=1e-6), name


def test_an_empty_history_is_zeros(case: dict[str, Any]) -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    found = pooling(case)(torch.randn(2, 3, DIM), nothing, torch.randn(2, DIM), None)
    assert torch.equal(found, torch.zeros(2, DIM))


def test_candidates_of_one_user_are_pooled_as_if_each_were_alone(case: dict[str, Any]) -> None:
    pooled = pooling(case).eval()
    keys, queries = torch.randn(2, 3, DIM), torch.randn(5, DIM)
    known = torch.tensor([[True, True, True], [True, False, False]])
    user = torch.tensor([1, 0, 0, 1, 0])
    found = pooled(keys, known, queries, user)
    alone = pooled(keys[user], known[user], queries, None)
    assert torch.allclose(found, alone, atol=1e-6)


def test_gradients_are_finite_where_histories_are_empty(case: dict[str, Any]) -> None:
    keys = torch.randn(2, 3, DIM, requires_grad=True)
    known = torch.tensor([[True, False, False], [False, False, False]])
    pooling(case)(keys, known, torch.randn(2, DIM), None).sum().backward()
    assert keys.grad is not None
    assert torch.isfinite(keys.grad).all()
    assert not keys.grad[1].any()
