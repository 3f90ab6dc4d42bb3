"""What a ranker says of rows of the log, and how well it orders those of validation."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.contract.errors import ConfigError
from training.auc import gauc
from training.dropout import Flags
from training.prepare import Encoders, Prepared
from training.ranker.check import history_of
from training.ranker.model import Ranker
from training.ranker.options import RankerOptions
from training.ranker.rows import RankerBatch, RankerRows
from training.slices import membership
from training.split import VALIDATION

CHUNK = 4096


def logits_of(ranker: Ranker, batch: RankerBatch) -> Tensor:
    """Return float[B]: what the ranker says of each row."""
    keys = ranker.code.key(batch.met)[batch.history]  # [B, H, dim]
    logits: Tensor = ranker.scorer(batch.user, keys, batch.known, ranker.code(batch.item))
    return logits


@torch.no_grad()
def predict(ranker: Ranker, rows: RankerRows) -> NDArray[np.float32]:
    """Return float32[rows], logits in evaluation mode with all in sight."""
    ranker.eval()
    chunks = np.split(np.arange(len(rows)), range(CHUNK, len(rows), CHUNK))
    return np.concatenate([logits_of(ranker, rows.batch(chunk)).numpy() for chunk in chunks])


def validated(prepared: Prepared) -> dict[str, Flags]:
    """Return the slices that GAUC has a value in, each as the validation rows in it.

    Raises:
        ConfigError: No slice with a weight has a user with rows of both labels.
    """
    at, interactions = prepared.split.rows(VALIDATION), prepared.data.interactions
    user, label = interactions.user[at], interactions.label[at]
    slices = {
        name: mask
        for name, mask in membership(prepared.data, prepared.split, VALIDATION, at).items()
        if gauc(user[mask], np.zeros(int(mask.sum())), label[mask]).users
    }
    select = prepared.config.training.select
    if not slices.keys() & select.weights.keys():
        raise ConfigError(
            "ranker: validation has no user with rows of both labels in a slice that "
            f"training.select weighs ({', '.join(select.weights)}); see split.validation"
        )
    return slices


def validator(
    config: RankerOptions, prepared: Prepared, encoders: Encoders
) -> Callable[[Ranker], dict[str, float]]:
    """Return a function that measures GAUC on the validation rows, by slice.

    `selected` is their mean by `training.select`, over the slices that have one.

    Raises:
        ConfigError: No slice with a weight has a user with rows of both labels.
    """
    slices, select = validated(prepared), prepared.config.training.select
    at, interactions = prepared.split.rows(VALIDATION), prepared.data.interactions
    user, label = interactions.user[at], interactions.label[at]
    history = history_of(config, prepared.config.user)
    rows = RankerRows.of(prepared, encoders, history, at)

    def validate(ranker: Ranker) -> dict[str, float]:
        scores = predict(ranker, rows)
        found = {n: gauc(user[m], scores[m], label[m]).value for n, m in slices.items()}
        return {**found, "selected": select.figure(found)}

    return validate
