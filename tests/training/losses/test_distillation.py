import math

import pytest
import torch
from torch import Tensor

from export.contract.errors import ConfigError
from tests.training.losses.made import SCORES, batch, labels
from training.losses.base import Scored, Vectors
from training.losses.distillation import Distillation
from training.vectors import VectorFiles

TAUGHT = [[0.2, 0.6, 0.1], [0.3, 0.3, 0.9], [-0.5, 0.0, 0.4]]
FILES = VectorFiles(users="a.parquet", items="b.parquet")


def taught(scores: list[list[float]] | Tensor | None = None, **changes: Tensor) -> Scored:
    """Three rows whose teachers, warm and given, score the candidates like TAUGHT."""
    found = batch(scores, **changes)
    teacher = Vectors(torch.tensor(TAUGHT), torch.eye(3))
    return type(found)(**{**vars(found), "warm": teacher, "given": {FILES: teacher}})


def shares(scores: list[float], temperature: float) -> list[float]:
    powers = [math.exp(score / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def divergence(wanted: list[float], found: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(wanted, found, strict=True))


@pytest.mark.parametrize("teacher", ["warm_view", FILES])
@pytest.mark.parametrize("teacher_temperature", [None, 0.3])
def test_it_is_the_divergence_from_the_teachers_shares_worked_by_hand(
    teacher: str | VectorFiles, teacher_temperature: float | None
) -> None:
    loss = Distillation.model_validate(
        {"teacher": teacher, "temperature": 0.5, "teacher_temperature": teacher_temperature}
    )
    each = [
        divergence(shares(wanted, teacher_temperature or 0.5), shares(found, 0.5))
        for wanted, found in zip(TAUGHT, SCORES, strict=True)
    ]
    expected = (each[0] + 2 * each[1] + 0.5 * each[2]) / 3.5
    found = loss(taught(weight=torch.tensor([1.0, 2.0, 0.5])))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_is_the_difference_of_the_shares() -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    Distillation(temperature=0.5)(taught(scores)).backward()  # type: ignore[no-untyped-call]
    wanted, found = (torch.tensor(one).div(0.5).softmax(1) for one in (TAUGHT, SCORES))
    torch.testing.assert_close(scores.grad, (found - wanted) / 0.5 / 3)


def test_it_is_zero_where_the_towers_say_what_the_teacher_says() -> None:
    assert Distillation()(taught(TAUGHT)).item() == pytest.approx(0, abs=1e-6)
    shifted = [[score + 3 for score in row] for row in TAUGHT]  # shares are of differences
    assert Distillation()(taught(shifted)).item() == pytest.approx(0, abs=1e-5)
    nearer = 0.5 * (torch.tensor(TAUGHT) + torch.tensor(SCORES))
    assert Distillation()(taught(nearer)) < Distillation()(taught())


def test_temperatures_sharpen_what_is_compared() -> None:
    """Sharper shares of unlike scores lie further apart; a sharper teacher is more certain."""
    assert Distillation(temperature=0.1)(taught()) > Distillation(temperature=1.0)(taught())
    alike = [Distillation(teacher_temperature=t)(taught(TAUGHT)).item() for t in (0.1, 0.2, 0.4)]
    assert alike == sorted(alike)
    assert alike[0] == pytest.approx(0, abs=1e-6)
    assert alike[2] > alike[1] > 0.01


def test_only_candidates_and_the_own_item_are_compared() -> None:
    only = torch.zeros(3, 3, dtype=torch.bool)
    assert Distillation()(taught(candidate=only)).item() == pytest.approx(0, abs=1e-6)
    only[0, 1] = True
    found = Distillation(temperature=1.0)(taught(candidate=only))
    expected = divergence(shares(TAUGHT[0][:2], 1.0), shares(SCORES[0][:2], 1.0)) / 3
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_who_has_no_given_vector_is_left_out() -> None:
    users, items = torch.tensor(TAUGHT), torch.eye(3)
    users[0], items[2] = math.nan, math.nan
    scores = torch.tensor(SCORES, requires_grad=True)
    found = taught(scores)
    found = type(found)(**{**vars(found), "given": {FILES: Vectors(users, items)}})
    loss = Distillation(teacher=FILES, temperature=1.0)(found)
    loss.backward()  # type: ignore[no-untyped-call]
    each = [
        divergence(shares(wanted[:2], 1.0), shares(got[:2], 1.0))
        for wanted, got in zip(TAUGHT[1:], SCORES[1:], strict=True)
    ]
    assert loss.item() == pytest.approx(sum(each) / 2, rel=1e-5)
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert not scores.grad[0].any()
    assert not scores.grad[:, 2].any()


@pytest.mark.parametrize("match", ["scores", "vectors"])
def test_a_teacher_who_knows_nobody_teaches_nothing(match: str) -> None:
    nobody = Vectors(torch.full((3, 3), math.nan), torch.eye(3))
    found = taught()
    found = type(found)(**{**vars(found), "given": {FILES: nobody}})
    loss = Distillation.model_validate({"teacher": FILES, "match": match})
    value = loss(found).item()
    own_items = 1 - torch.eye(3).diag().mean().item()  # items are known and alike
    assert value == pytest.approx(own_items if match == "vectors" else 0, abs=1e-6)


def test_matched_vectors_turn_towards_the_teachers() -> None:
    """Worked by hand: users at 90, 45 and 0 degrees of theirs, own items at none."""
    ours = torch.tensor([[1.0, 0, 0], [1.0, 1.0, 0], [0, 0, 2.0]], requires_grad=True)
    theirs = torch.tensor([[0, 3.0, 0], [0, 5.0, 0], [0, 0, 0.1]])
    found = batch(weight=torch.tensor([1.0, 1.0, 2.0]))
    found = type(found)(
        **{**vars(found), "user_vectors": ours, "warm": Vectors(theirs, torch.eye(3))}
    )
    loss = Distillation(match="vectors")(found)
    assert loss.item() == pytest.approx((1 + (1 - 0.5**0.5) + 0) / 4, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    step = ours - 0.1 * ours.grad
    before, after = (torch.cosine_similarity(one, theirs, dim=1) for one in (ours, step))
    assert (after[:2] > before[:2]).all()


def test_matched_vectors_read_own_items_of_clicked_rows_only() -> None:
    found = batch(is_positive=labels(1, 0, 0))
    users = torch.tensor([[0.9, 0.5, -0.2]] * 3)
    items = torch.tensor([[0.0, 1, 0], [0, 0, 1.0], [1.0, 0, 0]])  # all across ours
    found = type(found)(**{**vars(found), "warm": Vectors(users, items)})
    assert Distillation(match="vectors")(found).item() == pytest.approx(1, rel=1e-5)


def test_vectors_can_be_matched_only_at_the_towers_length() -> None:
    loss = Distillation(teacher=FILES, match="vectors")
    loss.check_vectors(16, 16)
    with pytest.raises(ConfigError, match="towers' length 16, the files hold 8"):
        loss.check_vectors(8, 16)
    Distillation(teacher=FILES).check_vectors(8, 16)


def test_it_says_what_it_needs() -> None:
    assert Distillation().needs_warm_view
    assert Distillation().vector_files is None
    given = Distillation.model_validate({"teacher": {"users": "a.parquet", "items": "b.parquet"}})
    assert not given.needs_warm_view
    assert given.vector_files == FILES
