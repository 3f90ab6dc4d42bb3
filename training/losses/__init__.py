"""Losses. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from training.losses.category_alignment import CategoryAlignment
from training.losses.in_batch_softmax import InBatchSoftmax
from training.losses.mimic import Mimic
from training.losses.pairwise import Pairwise
from training.losses.pointwise import Pointwise
from training.losses.sv_softmax import SVSoftmax

LossConfig = Annotated[
    InBatchSoftmax | SVSoftmax | Pairwise | Pointwise | Mimic | CategoryAlignment,
    Field(discriminator="kind"),
]

__all__ = [
    "CategoryAlignment",
    "InBatchSoftmax",
    "LossConfig",
    "Mimic",
    "Pairwise",
    "Pointwise",
    "SVSoftmax",
]
