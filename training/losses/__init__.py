"""Losses. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from training.losses.category_alignment import CategoryAlignment
from training.losses.distillation import Distillation
from training.losses.in_batch_softmax import InBatchSoftmax
from training.losses.mimic import Mimic
from training.losses.pairwise import Pairwise
from training.losses.pairwise_focal import PairwiseFocal
from training.losses.pairwise_hinge import PairwiseHinge
from training.losses.pointwise import Pointwise
from training.losses.reconstruction import Reconstruction
from training.losses.sv_softmax import SVSoftmax

LossConfig = Annotated[
    InBatchSoftmax
    | SVSoftmax
    | Pairwise
    | PairwiseHinge
    | PairwiseFocal
    | Pointwise
    | Mimic
    | CategoryAlignment
    | Distillation
    | Reconstruction,
    Field(discriminator="kind"),
]

__all__ = [
    "CategoryAlignment",
    "Distillation",
    "InBatchSoftmax",
    "LossConfig",
    "Mimic",
    "Pairwise",
    "PairwiseFocal",
    "PairwiseHinge",
    "Pointwise",
    "Reconstruction",
    "SVSoftmax",
]
