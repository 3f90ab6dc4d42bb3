"""Towers. To add one: write its file, then add its line here.

A tower's configuration says `kind`, `dim` (length of its vectors) and `embedding` (width of a
feature's vector that names none), and builds the module from the widths of its features.
"""

from typing import Annotated

from pydantic import Field

from training.towers.additive import AdditiveConfig
from training.towers.dat import DATConfig
from training.towers.dropoutnet import DropoutNetConfig
from training.towers.mlp import MlpConfig
from training.towers.parallel import ParallelConfig
from training.towers.senet import SenetConfig

TowerConfig = Annotated[
    AdditiveConfig | DropoutNetConfig | DATConfig | MlpConfig | SenetConfig | ParallelConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "AdditiveConfig",
    "DATConfig",
    "DropoutNetConfig",
    "MlpConfig",
    "ParallelConfig",
    "SenetConfig",
    "TowerConfig",
]
