"""Batches made by hand, for tests of losses."""

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from training.augmented import Augmented
from training.losses.base import Scored, Vectors
from training.vectors import VectorFiles

SCORES = [[0.9, 0.5, -0.2], [0.1, 0.6, 0.3], [0.4, 0.2, 0.7]]
LOG_Q = [-1.0, -2.0, -3.0]


def batch(scores: list[list[float]] | Tensor | None = None, **changes: Any) -> Scored:
    """Return a batch of clicked rows of equal weight, each held against all; or as changed.

    Their items all differ, none is known or cold, and all rows are of one session. Everybody has
    an augmented vector of its own, like the one its tower gave. Teachers give every row's own item
    a score of 1.5, and 0 to all others.
    """
    found = torch.as_tensor(SCORES if scores is None else scores)
    rows, columns = found.shape
    teacher = Vectors(1.5 * torch.eye(rows, columns), torch.eye(columns))
    plain = Scored(
        user_vectors=found,
        item_vectors=torch.eye(columns),
        scores=found,
        users=torch.arange(rows),
        items=torch.arange(columns),
        own=torch.arange(rows),
        is_positive=torch.ones(rows, dtype=torch.bool),
        weight=torch.ones(rows),
        candidate=torch.ones(rows, columns, dtype=torch.bool),
        same_item=torch.eye(rows, columns, dtype=torch.bool),
        known_positive=torch.zeros(rows, columns, dtype=torch.bool),
        cold=torch.zeros(columns, dtype=torch.bool),
        log_q=torch.tensor((LOG_Q * columns)[:columns]).expand(rows, columns),
        sessions={"user_id": torch.zeros(rows, dtype=torch.int64)},
        user_augmented=augmented(found),
        item_augmented=augmented(torch.eye(columns)),
        warm=teacher,
        given={VectorFiles(): teacher},
    )
    if "log_q" in changes:
        changes["log_q"] = changes["log_q"].expand(rows, columns)
    return replace(plain, **changes)


def taken(whole: Scored, rows: list[int]) -> Scored:
    """Return some of a batch's rows, held against the same candidates."""
    by_row = {f.name: getattr(whole, f.name)[rows] for f in fields(whole) if f.name in BY_ROW}
    sessions = {name: one[rows] for name, one in whole.sessions.items()}
    augmented = whole.user_augmented
    if augmented is not None:
        augmented = Augmented(augmented.vectors[rows], augmented.is_own[rows])
    assert whole.warm is not None
    places = torch.tensor(rows), torch.arange(whole.scores.shape[1])
    given = {files: one.take(*places) for files, one in whole.given.items()}
    warm = whole.warm.take(*places)
    known = replace(whole, sessions=sessions, user_augmented=augmented, warm=warm, given=given)
    return replace(known, **by_row)


BY_ROW = {"user_vectors", "scores", "users", "own", "is_positive", "weight", "candidate"} | {
    "same_item",
    "known_positive",
    "log_q",
}


def augmented(vectors: Tensor, is_own: Tensor | None = None) -> Augmented:
    everybody = torch.ones(len(vectors), dtype=torch.bool)
    return Augmented(vectors, everybody if is_own is None else is_own)


def cell(row: int, column: int) -> Tensor:
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[row, column] = True
    return mask


def labels(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)
