from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, UNKNOWN_ROW
from tests.training.losses.made import batch, labels
from training.losses.base import Scored
from training.losses.category_alignment import CategoryAlignment

A, B, C = range(FIRST_WORD_ROW, FIRST_WORD_ROW + 3)
WIDE = [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]  # covariance [[4, 0], [0, 0]]
TALL = [[5.0, 1.0], [5.0, 3.0]]  # [[0, 0], [0, 2]]
SLANT = [[0.0, 0.0], [2.0, 2.0]]  # [[2, 2], [2, 2]]


def among(vectors: list[list[float]], words: list[int], items: list[int] | None = None) -> Scored:
    """Return a batch whose candidates are these items."""
    found = batch(torch.zeros(1, len(words)), item_vectors=torch.tensor(vectors))
    return replace(
        found,
        items=torch.tensor(items) if items else torch.arange(len(words)),
        categories={"maker": torch.tensor(words), "genre": torch.full((len(words),), A)},
    )


def loss(found: Scored, category: str = "maker") -> torch.Tensor:
    return CategoryAlignment(category=category)(found)


def test_it_is_the_squared_distance_of_covariances_to_that_of_the_most_frequent() -> None:
    found = among(WIDE + TALL + SLANT, [A, A, A, B, B, C, C])
    tall, slant = 16 + 4, 4 + 4 + 4 + 4
    assert loss(found).item() == pytest.approx(tall + slant)


def test_the_most_frequent_is_so_in_the_batch_wherever_it_stands() -> None:
    found = among(TALL + SLANT + WIDE, [B, B, A, A, C, C, C])  # its word is the rarest
    assert loss(found).item() == pytest.approx(20 + 16)


def test_of_equals_the_first_of_the_vocabulary_leads() -> None:
    found = among(TALL + SLANT + WIDE[:2], [B, B, A, A, C, C])
    tall, wide = 4 + 4 + 4 + 0, 0 + 4 + 4 + 4  # held against the slant, [[2, 0], [0, 0]] is wide
    assert loss(found).item() == pytest.approx(tall + wide)


def test_covariances_are_those_of_numpy() -> None:
    torch.manual_seed(0)
    vectors, words = torch.randn(30, 5), torch.randint(A, C + 1, (30,))
    spread = {w: np.cov(vectors[words == w].numpy().T) for w in (A, B, C)}
    major = max((A, B, C), key=lambda w: int((words == w).sum()))
    expected = sum(((one - spread[major]) ** 2).sum() for one in spread.values())
    assert loss(among(vectors.tolist(), words.tolist())).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("word", [MISSING_ROW, UNKNOWN_ROW])
def test_a_missing_or_unknown_category_is_none(word: int) -> None:
    found = among(WIDE + TALL + SLANT * 2, [A, A, A, B, B, *[word] * 4])
    assert loss(found).item() == pytest.approx(20)


def test_a_category_of_one_item_is_left_out() -> None:
    found = among([*WIDE, *TALL, [9.0, 9.0]], [A, A, A, B, B, C])
    assert loss(found).item() == pytest.approx(20)


def test_an_item_counts_once_however_often_it_stands_there() -> None:
    found = among([*WIDE, *TALL, TALL[0], TALL[0]], [A, A, A, B, B, B, B], [0, 1, 2, 3, 4, 3, 3])
    assert loss(found).item() == pytest.approx(20)


def test_one_item_twice_is_no_category_of_two() -> None:
    found = among([*WIDE, [0.0, 1.0], [0.0, 9.0]], [A, A, A, B, B], [0, 1, 2, 3, 3])
    assert loss(found).item() == 0


@pytest.mark.parametrize(
    "words", [[A], [A, A], [A, B, C], [A, A, B], [UNKNOWN_ROW] * 4], ids=lambda one: str(len(one))
)
def test_without_two_categories_of_two_items_there_is_no_loss_and_no_gradient(
    words: list[int],
) -> None:
    vectors = torch.randn(len(words), 3, requires_grad=True)
    found = loss(replace(among([[0.0]] * len(words), words), item_vectors=vectors))
    found.backward()  # type: ignore[no-untyped-call]
    assert found.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_training_by_it_makes_the_categories_spread_alike() -> None:
    vectors = torch.tensor(WIDE + TALL, requires_grad=True)
    made = among(WIDE + TALL, [A, A, A, B, B])
    for _ in range(200):
        (gradient,) = torch.autograd.grad(loss(replace(made, item_vectors=vectors)), vectors)
        vectors = (vectors - 0.01 * gradient).detach().requires_grad_()
    assert loss(replace(made, item_vectors=vectors)).item() < 0.01 * loss(made).item()


def test_where_categories_lie_is_of_no_account() -> None:
    found = among(WIDE + TALL, [A, A, A, B, B])
    moved = replace(found, item_vectors=found.item_vectors + torch.tensor([3.0, -8.0]))
    torch.testing.assert_close(loss(moved), loss(found))


def test_it_speaks_of_items_and_of_no_row() -> None:
    found = among(WIDE + TALL, [A, A, A, B, B])
    for changed in (
        replace(found, weight=torch.tensor([7.0])),
        replace(found, is_positive=labels(0)),
    ):
        assert torch.equal(loss(changed), loss(found))


def test_category_names_the_feature() -> None:
    found = among(WIDE + TALL, [A, A, A, B, B])
    assert loss(found, "genre").item() == 0  # all of one
    assert loss(found, "maker").item() > 0
    assert CategoryAlignment(category="genre").categories == ("genre",)


@pytest.mark.parametrize("options", [{}, {"category": ""}, {"category": "a", "catgory": "b"}])
def test_a_wrong_option_is_named(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="category|catgory"):
        CategoryAlignment.model_validate(options)
