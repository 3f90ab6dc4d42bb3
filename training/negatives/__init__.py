"""Negatives. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from training.negatives.given import Given
from training.negatives.hard import Hard
from training.negatives.in_batch import InBatch
from training.negatives.mixed import Mixed
from training.negatives.roll import Roll

NegativeConfig = Annotated[
    InBatch | Roll | Mixed | Hard | Given,
    Field(discriminator="kind"),
]

__all__ = ["Given", "Hard", "InBatch", "Mixed", "NegativeConfig", "Roll"]
