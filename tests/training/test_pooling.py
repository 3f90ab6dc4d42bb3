from math import exp

import pytest
import torch
from torch import Tensor, nn

from export.contract.features import MISSING_ROW, PADDING_ROW, Category, Tags
from export.contract.schema import Schema
from tests.export.contract.encoded import WORDS, schema_of
from training.model import FeatureInputs
from training.pooling import Attention, Mean, SqrtN, pooling

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
ALL = torch.tensor([[1, 2, 3]])  # one bag of three words
TWO = torch.tensor([[1, 2, PADDING_ROW]])
NONE = torch.full((1, 3), PADDING_ROW)


def table() -> nn.Embedding:
    rows = nn.Embedding(4, 2, padding_idx=PADDING_ROW)
    with torch.no_grad():
        rows.weight[1:] = VECTORS
    return rows


def attention(query: list[float]) -> Attention:
    module = Attention(2)
    with torch.no_grad():
        module.query.copy_(torch.tensor(query))
    return module


def by_hand(shares: list[float]) -> Tensor:
    weights = torch.tensor(shares)
    return ((weights / weights.sum()).unsqueeze(1) * VECTORS[: len(shares)]).sum(0, keepdim=True)


def test_the_mean_counts_words_by_their_weights_and_no_filler() -> None:
    assert Mean()(table(), TWO, None).tolist() == [[0.5, 1.0]]
    assert Mean()(table(), TWO, torch.tensor([[3.0, 1.0, 9.0]])).tolist() == [[0.75, 0.5]]


def test_sqrtn_is_the_sum_over_the_root_of_the_sum_of_squares() -> None:
    found = SqrtN()(table(), TWO, None)
    torch.testing.assert_close(found, torch.tensor([[1.0, 2.0]]) / 2**0.5)
    found = SqrtN()(table(), TWO, torch.tensor([[3.0, 4.0, 9.0]]))
    torch.testing.assert_close(found, torch.tensor([[3.0, 8.0]]) / 5)


@pytest.mark.parametrize("words", [1, 4, 64])
def test_a_bag_by_sqrtn_is_as_long_as_one_of_its_words_and_by_the_mean_shorter(words: int) -> None:
    rows = nn.Embedding(words + 1, 4096, padding_idx=PADDING_ROW)  # so wide that words are apart
    bag = torch.arange(1, words + 1).unsqueeze(0)
    one = rows.weight[1:].norm(dim=1).mean().item()
    assert SqrtN()(rows, bag, None).norm().item() == pytest.approx(one, rel=0.1)
    assert Mean()(rows, bag, None).norm().item() == pytest.approx(one / words**0.5, rel=0.1)


@pytest.mark.parametrize("module", [Mean(), SqrtN()])
def test_bags_of_any_lengths_are_summed_as_the_exported_graph_sums_them(module: Mean) -> None:
    torch.manual_seed(0)
    rows = torch.tensor([[1, 2, 3], [2, 2, PADDING_ROW], [PADDING_ROW] * 3, [3, PADDING_ROW, 1]])
    weights = torch.rand(4, 3)
    found = module(table(), rows, weights)
    graph = torch.export.export(Alone(module), (rows, weights))
    torch.testing.assert_close(graph.module()(rows, weights), found)
    assert found[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("module", [Mean(), SqrtN()])
def test_the_gradient_of_bags_is_that_of_plain_operators(module: Mean) -> None:
    torch.manual_seed(0)
    rows = torch.randint(0, 40, (64, 9))
    rows[rows == 0] = PADDING_ROW
    rows[5], rows[6] = PADDING_ROW, 7  # a bag of none, and one of the same word nine times
    weights, above = torch.rand(64, 9), torch.rand(64, 8)
    found, plain = nn.Embedding(50, 8), nn.Embedding(50, 8)  # some words are in no bag
    plain.load_state_dict(found.state_dict())
    module(found, rows, weights).backward(above)
    shares = module.shares((rows != PADDING_ROW) * weights)
    expected: Tensor = torch.matmul(shares.unsqueeze(1), plain(rows)).squeeze(1)
    expected.backward(above)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found.weight.grad, plain.weight.grad)


class Alone(nn.Module):
    """A pooling with a table of its own."""

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling, self.table = pooling, table()

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        found: Tensor = self.pooling(self.table, rows, weights)
        return found


@pytest.mark.parametrize("weights", [None, torch.tensor([[3.0, 1.0, 9.0]])])
@pytest.mark.parametrize("rows", [ALL, TWO])
def test_attention_begins_as_the_mean(rows: Tensor, weights: Tensor | None) -> None:
    expected = Mean()(table(), rows, weights)
    torch.testing.assert_close(Attention(2)(table(), rows, weights), expected)


def test_a_word_counts_by_the_exponent_of_its_product_with_the_query() -> None:
    module = attention([0.5, -1.0])  # products 0.5, -2 and -2.5
    expected = by_hand([exp(0.5), exp(-2), exp(-2.5)])
    torch.testing.assert_close(module(table(), ALL, None), expected)
    torch.testing.assert_close(module(table(), TWO, None), by_hand([exp(0.5), exp(-2)]))
    weights = torch.tensor([[0.25, 3.0, 9.0]])
    expected = by_hand([0.25 * exp(0.5), 3 * exp(-2)])
    torch.testing.assert_close(module(table(), TWO, weights), expected)


def test_a_query_along_a_words_vector_draws_the_bag_to_it() -> None:
    queries = (-2, 0, 1, 30)
    found = [attention([size, 0.0])(table(), ALL, None)[0, 0].item() for size in queries]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(3)  # the third word alone


@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("weights", [None, torch.zeros(1, 3)])
def test_an_empty_bag_is_zeros_and_its_gradient_finite(size: float, weights: Tensor | None) -> None:
    module, rows = attention([size, size]), table()
    found = module(rows, NONE, weights)
    assert found.tolist() == [[0.0, 0.0]]
    found.sum().backward()
    for gradient in (rows.weight.grad, module.query.grad):
        assert gradient is not None
        assert gradient.isfinite().all()


@pytest.mark.parametrize("module", [Mean(), SqrtN()])
@pytest.mark.parametrize("weights", [None, torch.zeros(1, 3)])
def test_an_empty_bag_is_zeros_without_attention_too(module: Mean, weights: Tensor | None) -> None:
    rows = table()
    found = module(rows, NONE, weights)
    assert found.tolist() == [[0.0, 0.0]]
    found.sum().backward()
    assert rows.weight.grad is None or rows.weight.grad.isfinite().all()


def test_products_and_weights_of_any_size_stay_finite() -> None:
    weights = torch.tensor([[1e-30, 1e30, 1.0]])
    torch.testing.assert_close(attention([0.0, 0.0])(table(), ALL, weights), VECTORS[1:2])
    torch.testing.assert_close(attention([1e6, 1e6])(table(), ALL, weights), VECTORS[2:])
    torch.testing.assert_close(attention([-1e6, 1e3])(table(), ALL, weights), VECTORS[1:2])
    torch.testing.assert_close(SqrtN()(table(), ALL, weights), VECTORS[1:2])
    one = torch.tensor([[1e-30, 1.0, 1.0]])
    torch.testing.assert_close(SqrtN()(table(), ALL[:, :1], one[:, :1]), VECTORS[:1])


def test_a_feature_is_pooled_as_it_says() -> None:
    assert type(pooling(Tags(), 2)) is Mean
    assert type(pooling(Tags(pooling="sqrtn"), 2)) is SqrtN
    assert isinstance(pooling(Tags(pooling="attention"), 2), Attention)
    assert type(pooling(Category(), 2)) is Mean


def schema() -> Schema:
    kinds = {
        "a": {"kind": "tags", "table": "word", "pooling": "attention"},
        "b": {"kind": "sequence", "table": "word", "pooling": "attention"},
        "c": {"kind": "text", "table": "word"},
    }
    return schema_of(kinds, {"word": WORDS})


def test_every_feature_has_a_query_of_its_own_and_sees_its_own_words() -> None:
    torch.manual_seed(0)
    words = torch.nn.Embedding(len(WORDS) + 3, 2, padding_idx=PADDING_ROW)
    content = schema().item.content
    inputs = FeatureInputs(schema(), "item", content, {"word": words}, 2)
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
    module(table(), ALL, None).square().sum().backward()
    assert module.query.grad is not None
    assert module.query.grad.any()
