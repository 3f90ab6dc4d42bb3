"""Rankers, which score what was recalled. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from training.ranker.din import DinConfig
from training.ranker.mean import BaseConfig

RankerConfig = Annotated[
    DinConfig | BaseConfig,
    Field(discriminator="kind"),
]

__all__ = ["BaseConfig", "DinConfig", "RankerConfig"]
