from pathlib import Path

import numpy as np
import pytest

from export.index.base import Labels, Scores, VectorIndex, Vectors, kept

LABELS = np.array([[4, 1, 3, 0, 2]])
SCORES = np.array([[0.5, 0.5, 0.9, 0.5, 0.7]], np.float32)


class Disordered(VectorIndex):
    """A member that finds the right things in no order."""

    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        return LABELS[:, :k], SCORES[:, :k]

    def _write(self, part: Path) -> None:
        part.write_bytes(LABELS.tobytes())


@pytest.mark.parametrize(("k", "expected"), [(5, [3, 2, 0, 1, 4]), (3, [3, 1, 4])])
def test_whatever_order_a_member_finds_things_in_best_come_first_and_ties_by_label(
    k: int, expected: list[int]
) -> None:
    labels, scores = Disordered(dim=2, count=5).search(np.eye(2, dtype=np.float32)[:1], k)
    assert labels.tolist() == [expected]
    assert scores[0].tolist() == sorted(SCORES[0, :k].tolist(), reverse=True)


def test_vectors_that_nobody_can_change_are_not_copied() -> None:
    vectors = np.eye(4, dtype=np.float32)
    view = vectors[:2]
    view.flags.writeable = False
    assert kept(view) is not view  # who has `vectors` can change it
    assert kept(vectors) is not vectors
    vectors.flags.writeable = False
    assert kept(view) is view
    assert kept(vectors[1:]).base is vectors


class Descending(Disordered):
    """A member that finds them best first, and equal ones in no order."""

    def _nearest(self, queries: Vectors, k: int) -> tuple[Labels, Scores]:
        order = np.argsort(-SCORES[0], kind="stable")[:k]
        return LABELS[:, order], SCORES[:, order]


def test_equal_scores_go_by_label_where_all_came_best_first() -> None:
    labels, _ = Descending(dim=2, count=5).search(np.eye(2, dtype=np.float32)[:1], 5)
    assert labels.tolist() == [[3, 2, 0, 1, 4]]
