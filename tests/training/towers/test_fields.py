import pytest
import torch

from export.contract.features.base import FARTHEST
from training.towers.fields import Even, Fields, bounded

WIDTHS = {"content": (2, 1), "context": (1,), "preference": (2,)}
GROUPS = {
    "content": torch.tensor([[1.0, 2.0, 3.0]] * 2),
    "context": torch.tensor([[4.0]] * 2),
    "preference": torch.tensor([[5.0, 6.0], [torch.nan, torch.inf]]),
}
PRESENT = torch.tensor([[True], [False]])


def test_fields_stand_beside_each_other_in_the_order_of_their_widths() -> None:
    fields = Fields(WIDTHS, "zeros")
    assert fields.widths == (2, 1, 1, 2)
    assert fields(GROUPS, PRESENT).tolist() == [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 0, 0]]
    assert list(fields.parameters()) == []


def test_absent_preference_is_a_learned_vector_whatever_was_given() -> None:
    fields = Fields(WIDTHS, "learned")
    with torch.no_grad():
        fields.default.copy_(torch.tensor([7.0, 8.0]))
    assert fields(GROUPS, PRESENT).tolist() == [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7, 8]]
    assert [name for name, _ in fields.named_parameters()] == ["default"]


def test_a_side_without_preference_has_no_default() -> None:
    fields = Fields({"content": (2, 1)}, "learned")
    assert fields({"content": GROUPS["content"]}, None).tolist() == [[1, 2, 3], [1, 2, 3]]
    assert not fields.state_dict()


def test_vectors_of_other_widths_are_mapped_to_one_and_equal_ones_are_untouched() -> None:
    even = Even((2, 1, 3), 2)
    wide = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    assert even(wide).tolist() == [[[1, 2], [3, 0], [4, 5]]]  # begins as the identity
    with torch.no_grad():
        even.get_parameter("1.weight").copy_(torch.tensor([[10.0], [100.0]]))
    assert even(wide).tolist() == [[[1, 2], [30, 300], [4, 5]]]
    assert {name: tuple(p.shape) for name, p in even.named_parameters()} == {
        "1.weight": (2, 1),
        "2.weight": (2, 3),
    }


@pytest.mark.parametrize("degree", [1, 2, 4, 11])
def test_no_product_of_bounded_values_is_beyond_the_farthest(degree: int) -> None:
    held = bounded(torch.tensor([-3e38, -1.0, 0.5, 3e38]), degree)
    assert held[1:3].tolist() == [-1.0, 0.5]
    assert held[3] == -held[0]
    assert held[3].item() ** degree == pytest.approx(FARTHEST, rel=1e-5)
