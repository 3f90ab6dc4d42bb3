"""What every kind of tower promises."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from export.contract.strict import Strict


class TowerKind(Strict):
    """A tower: its options, what it asks for, and how it is built.

    It says `kind`, `dim` (the length of its vectors) and `embedding` (the width of a feature's
    vector that names none).
    """

    takes_augmented: ClassVar[bool] = False
    """Whether the side's own id comes apart, as the group `augmented` of width `dim`."""

    @abstractmethod
    def build(self, widths: Mapping[str, tuple[int, ...]]) -> nn.Module:
        """Return a tower over groups whose features' vectors have these widths, in order.

        Its `forward` takes each group's wide vector, float[batch, sum(widths)], by the group's
        name, and `present`, bool[batch, 1] or None where the side has no preference; it gives
        float[batch, dim], of any length. `augmented` needs no presence: where the id is not in
        sight it holds a default already.
        """
