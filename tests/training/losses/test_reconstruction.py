import math

import pytest
import torch

from tests.training.losses.made import SCORES, batch, labels
from training.losses.base import Scored, Vectors
from training.losses.reconstruction import Reconstruction
from training.vectors import VectorFiles

USERS = [[1.0, 0.0], [0.5, 0.5], [0.0, 2.0]]
ITEMS = [[0.4, 0.1], [0.2, 0.8], [-0.3, 0.6]]


EVEN = Reconstruction(top=1.0)


def factored(users: list[list[float]], items: list[list[float]], found: Scored) -> Scored:
    given = {VectorFiles(): Vectors(torch.tensor(users), torch.tensor(items))}
    return type(found)(**{**vars(found), "given": given})


def off(row: int, column: int) -> float:
    return (SCORES[row][column] - products(row)[column]) ** 2


def products(row: int) -> list[float]:
    return [sum(u * v for u, v in zip(USERS[row], item, strict=True)) for item in ITEMS]


def test_it_is_the_squared_error_worked_by_hand() -> None:
    rows = [sum(off(row, column) for column in range(3)) / 3 for row in range(3)]
    found = factored(USERS, ITEMS, batch(weight=torch.tensor([1.0, 2.0, 0.5])))
    expected = (rows[0] + 2 * rows[1] + 0.5 * rows[2]) / 3.5
    assert EVEN(found).item() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_points_from_the_factors_score() -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    EVEN(factored(USERS, ITEMS, batch(scores))).backward()  # type: ignore[no-untyped-call]
    target = torch.tensor(USERS) @ torch.tensor(ITEMS).T
    torch.testing.assert_close(scores.grad, 2 * (torch.tensor(SCORES) - target) / 9)


def test_each_row_reads_its_candidates_and_its_own_item() -> None:
    candidate = torch.zeros(3, 3, dtype=torch.bool)
    candidate[0, 1] = True
    found = factored(USERS, ITEMS, batch(candidate=candidate))
    expected = ((off(0, 0) + off(0, 1)) / 2 + off(1, 1) + off(2, 2)) / 3
    assert EVEN(found).item() == pytest.approx(expected, rel=1e-5)


def test_rows_that_were_not_clicked_are_no_pairs() -> None:
    found = factored(USERS, ITEMS, batch(is_positive=labels(0, 1, 0)))
    assert EVEN(found).item() == pytest.approx(
        sum(off(1, column) for column in range(3)) / 3, rel=1e-5
    )


def test_pairs_without_a_factor_are_left_out_and_give_no_gradient() -> None:
    nan = [math.nan, math.nan]
    scores = torch.tensor(SCORES, requires_grad=True)
    found = factored([nan, *USERS[1:]], [*ITEMS[:2], nan], batch(scores))
    loss = EVEN(found)
    loss.backward()  # type: ignore[no-untyped-call]
    expected = sum(off(row, column) for row in (1, 2) for column in (0, 1)) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert not scores.grad[0].any()
    assert not scores.grad[:, 2].any()


def test_factors_of_nobody_give_zero() -> None:
    nan = [math.nan, math.nan]
    assert EVEN(factored([nan] * 3, ITEMS, batch())).item() == 0


def test_half_of_it_is_of_the_share_with_the_highest_products() -> None:
    best = [products(row).index(max(products(row))) for row in range(3)]
    found = factored(USERS, ITEMS, batch())
    expected = (EVEN(found).item() + sum(off(row, best[row]) for row in range(3)) / 3) / 2
    assert Reconstruction(top=0.34)(found).item() == pytest.approx(expected, rel=1e-5)
    assert Reconstruction()(found).item() == pytest.approx(expected, rel=1e-5)  # one at least
    assert expected != pytest.approx(EVEN(found).item(), rel=1e-3)


def test_the_highest_products_are_of_candidates_that_have_one() -> None:
    nan = [math.nan, math.nan]
    candidate = torch.zeros(3, 3, dtype=torch.bool)
    scores = torch.tensor(SCORES, requires_grad=True)
    found = factored(USERS, [*ITEMS[:2], nan], batch(scores, candidate=candidate))
    loss = Reconstruction(top=0.67)(found)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx((off(0, 0) + off(1, 1)) / 2, rel=1e-5)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_files_are_those_that_are_named() -> None:
    files = {"users": "u.parquet", "items": "i.parquet"}
    assert Reconstruction.model_validate({"factors": files}).vector_files == VectorFiles(**files)
