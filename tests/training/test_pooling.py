from math import exp

import pytest
import torch
from torch import Tensor

from export.contract.features import MISSING_ROW, PADDING_ROW, Category, Tags
from export.contract.schema import Schema
from tests.export.contract.encoded import WORDS, schema_of
from training.model import FeatureInputs
from training.pooling import Attention, Mean, pooling

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
BAG = VECTORS.unsqueeze(0)  # one bag of three words
ALL = torch.tensor([[True, True, True]])
TWO = torch.tensor([[True, True, False]])


def attention(query: list[float]) -> Attention:
    module = Attention(2)
    with torch.no_grad():
        module.query.copy_(torch.tensor(query))
    return module


def by_hand(shares: list[float]) -> Tensor:
    weights = torch.tensor(shares)
    return ((weights / weights.sum()).unsqueeze(1) * VECTORS[: len(shares)]).sum(0, keepdim=True)


def test_the_mean_counts_words_by_their_weights_and_no_filler() -> None:
    assert Mean()(BAG, TWO, None).tolist() == [[0.5, 1.0]]
    assert Mean()(BAG, TWO, torch.tensor([[3.0, 1.0, 9.0]])).tolist() == [[0.75, 0.5]]


@pytest.mark.parametrize("weights", [None, torch.tensor([[3.0, 1.0, 9.0]])])
@pytest.mark.parametrize("counts", [ALL, TWO])
def test_attention_begins_as_the_mean(counts: Tensor, weights: Tensor | None) -> None:
    expected = Mean()(BAG, counts, weights)
    torch.testing.assert_close(Attention(2)(BAG, counts, weights), expected)


def test_a_word_counts_by_the_exponent_of_its_product_with_the_query() -> None:
    module = attention([0.5, -1.0])  # products 0.5, -2 and -2.5
    expected = by_hand([exp(0.5), exp(-2), exp(-2.5)])
    torch.testing.assert_close(module(BAG, ALL, None), expected)
    torch.testing.assert_close(module(BAG, TWO, None), by_hand([exp(0.5), exp(-2)]))
    weights = torch.tensor([[0.25, 3.0, 9.0]])
    expected = by_hand([0.25 * exp(0.5), 3 * exp(-2)])
    torch.testing.assert_close(module(BAG, TWO, weights), expected)


def test_a_query_along_a_words_vector_draws_the_bag_to_it() -> None:
    found = [attention([size, 0.0])(BAG, ALL, None)[0, 0].item() for size in (-2, 0, 1, 30)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(3)  # the third word alone


@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("weights", [None, torch.zeros(1, 3)])
def test_an_empty_bag_is_zeros_and_its_gradient_finite(size: float, weights: Tensor | None) -> None:
    module, bag = attention([size, size]), BAG.clone().requires_grad_()
    found = module(bag, torch.tensor([[False, False, False]]), weights)
    assert found.tolist() == [[0.0, 0.0]]
    found.sum().backward()
    assert module.query.grad is not None
    for gradient in (bag.grad, module.query.grad):
        assert gradient is not None
        assert gradient.isfinite().all()


def test_products_and_weights_of_any_size_stay_finite() -> None:
    weights = torch.tensor([[1e-30, 1e30, 1.0]])
    torch.testing.assert_close(attention([0.0, 0.0])(BAG, ALL, weights), VECTORS[1:2])
    torch.testing.assert_close(attention([1e6, 1e6])(BAG, ALL, weights), VECTORS[2:])
    torch.testing.assert_close(attention([-1e6, 1e3])(BAG, ALL, weights), VECTORS[1:2])


def test_a_feature_is_pooled_as_it_says() -> None:
    assert isinstance(pooling(Tags(), 2), Mean)
    assert isinstance(pooling(Tags(pooling="attention"), 2), Attention)
    assert isinstance(pooling(Category(), 2), Mean)


def schema() -> Schema:
    kinds = {
        "a": {"kind": "tags", "table": "word", "pooling": "attention"},
        "b": {"kind": "sequence", "table": "word", "pooling": "attention"},
        "c": {"kind": "text", "table": "word"},
    }
    return schema_of(kinds, {"word": WORDS})


def test_every_feature_has_a_query_of_its_own_and_sees_its_own_words() -> None:
    torch.manual_seed(0)
    table = torch.nn.Embedding(len(WORDS) + 3, 2, padding_idx=PADDING_ROW)
    content = schema().item.content
    inputs = FeatureInputs(schema(), "item", content, {"word": table}, 2)
    queries = {n: p for n, p in inputs.named_parameters() if "query" in n}
    assert list(queries) == ["pooling./a.query", "pooling./b.query"]
    rows = torch.tensor([[3, 4, 5, PADDING_ROW], [MISSING_ROW, *[PADDING_ROW] * 3]])
    arrays = {"a": rows, "b": rows, "c": rows}
    before = inputs(arrays)
    torch.testing.assert_close(before[:, :2], before[:, 4:])
    with torch.no_grad():
        queries["pooling./b.query"].add_(2.0)
    after = inputs(arrays)
    moved = (after - before).abs() > 1e-4
    assert moved.tolist() == [[False, False, True, True, False, False], [False] * 6]
    longer = {name: torch.cat([rows, torch.full((2, 3), PADDING_ROW)], 1) for name in arrays}
    torch.testing.assert_close(inputs(longer), after)


def test_queries_are_learned() -> None:
    module = Attention(2)
    module(BAG, ALL, None).square().sum().backward()
    assert module.query.grad is not None
    assert module.query.grad.any()
