"""Rows clicked and not clicked, made by hand, for tests of losses over pairs."""

from typing import Any

import torch

from tests.training.losses.made import batch, labels
from training.losses.base import Scored

OWN = [0.5, 0.2, 0.6, 0.1, 0.3]
LABELS = labels(1, 0, 0, 1, 0)
USERS = torch.tensor([7, 7, 7, 8, 8])
WEIGHT = [2.0, 1.0, 0.5, 1.0, 3.0]
PAIRS_OF_A_USER = [(0, 1), (0, 2), (3, 4)]
ALL_PAIRS = [(p, n) for p in (0, 3) for n in (1, 2, 4)]


def rows(own: Any = OWN, **changes: Any) -> Scored:
    """Five rows of two users, whose own scores are these."""
    return batch(
        torch.diag(torch.as_tensor(own)),
        **{"is_positive": LABELS, "sessions": {"user_id": USERS}, **changes},
    )
