import math

import pytest
import torch

from training.ranker import DinConfig
from training.ranker.din import ActivationUnit, Attention


def plain(weights: str) -> Attention:
    """Attention over keys of length 1, a(k, q) = q + 2k + 3(q - k) + 4qk + 5, worked by hand."""
    found = DinConfig(dim=1, attention=(), weights=weights).pooling()
    assert isinstance(found, Attention)
    with torch.no_grad():
        for part, value in zip(found.unit.first, (1.0, 2.0, 3.0, 4.0), strict=True):
            part.fill_(value)
        found.unit.bias.fill_(5.0)
    return found


KEYS = torch.tensor([[[0.5], [-0.25], [7.0]]])
KNOWN = torch.tensor([[True, True, False]])
QUERY = torch.tensor([[2.0]])
# q = 2: k = 0.5 gives 2 + 1 + 4.5 + 4 + 5 = 16.5; k = -0.25 gives 2 - .5 + 6.75 - 2 + 5 = 11.25


def test_sum_takes_what_the_unit_says_as_it_is() -> None:
    found = plain("sum")(KEYS, KNOWN, QUERY, None)
    assert found.item() == pytest.approx(16.5 * 0.5 - 11.25 * 0.25)


def test_softmax_has_it_add_up_to_one() -> None:
    found = plain("softmax")(KEYS, KNOWN, QUERY, None)
    share = 1 / (1 + math.exp(11.25 - 16.5))
    assert found.item() == pytest.approx(share * 0.5 - (1 - share) * 0.25, rel=1e-5)


def test_more_of_the_same_weighs_more_in_a_sum_and_not_in_a_softmax() -> None:
    once = torch.tensor([[[0.5], [0.0]]]), torch.tensor([[True, False]])
    twice = torch.tensor([[[0.5], [0.5]]]), torch.tensor([[True, True]])
    for weights, factor in (("sum", 2), ("softmax", 1)):
        pooled = plain(weights)
        assert pooled(*twice, QUERY, None).item() == pytest.approx(
            factor * pooled(*once, QUERY, None).item()
        )


def test_the_first_layer_is_that_of_query_key_difference_and_product() -> None:
    torch.manual_seed(1)
    unit = ActivationUnit(3, [5]).eval()
    keys, queries = torch.randn(2, 4, 3), torch.randn(2, 3)
    q = queries.unsqueeze(1).expand_as(keys)
    wide = torch.cat([q, keys, q - keys, q * keys], dim=2)
    first = wide @ torch.cat(list(unit.first), dim=1).T + unit.bias
    expected = unit.layers[0](unit.activations[0](first)).squeeze(2)
    found = unit(keys, torch.ones(2, 4, dtype=torch.bool), queries, None)
    assert torch.allclose(found, expected, atol=1e-6)


def test_what_is_attended_to_depends_on_the_candidate() -> None:
    pooled = plain("softmax")
    alike = pooled(KEYS, KNOWN, torch.tensor([[2.0]]), None).item()
    other = pooled(KEYS, KNOWN, torch.tensor([[-2.0]]), None).item()
    assert alike > 0.45
    assert other < -0.2


def test_the_unit_is_as_deep_as_asked() -> None:
    pooled = DinConfig(dim=3, attention=(7, 5)).pooling()
    assert isinstance(pooled, Attention)
    assert [part.shape[0] for part in pooled.unit.first] == [7] * 4
    assert [layer.out_features for layer in pooled.unit.layers] == [5, 1]
