"""What a loss is given: one batch of positives, and the candidates each is held against."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Scored:
    """A batch of B pairs (user, clicked item) and C candidate items; column i is row i's item.

    scores: float[B, C], cosine of each user and candidate.
    same_item: bool[B, C], the candidate is the row's own item (the diagonal included).
    known_positive: bool[B, C], the candidate is another item the user clicked in training.
    cold: bool[C], the candidate is seen without preference.
    log_q: float[C], log of the chance that a candidate is drawn.
    weight: float[B], the rows' sample weights.
    """

    scores: Tensor
    same_item: Tensor
    known_positive: Tensor
    cold: Tensor
    log_q: Tensor
    weight: Tensor
