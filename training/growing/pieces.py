"""Pieces: the parameters of a tower by the feature they are of, so that two towers can be matched.

Two trainings may know other features, in another order. What one learned is then found by names:
a parameter that has a row, or a column, for each feature is cut into views, one a feature.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

Names = Mapping[str, Sequence[str]]
"""By group: the features, `group.name`, in the order in which their vectors lie."""


@dataclass(frozen=True)
class Cut:
    """A parameter's views by the feature that each is of; "" is no feature's.

    `name` is what the parameter is called where its own name holds a feature's place.
    """

    views: Mapping[str, Tensor]
    name: str | None = None


Cuts = dict[str, Cut]
"""By the name of a parameter: how it is cut. What does not follow the features is not in it."""


@dataclass(frozen=True)
class Piece:
    """A view of a parameter or buffer, and the feature it is of; "" where it is no feature's."""

    feature: str
    values: Tensor


@runtime_checkable
class Followed(Protocol):
    """A tower that says which of its parameters follow the features.

    One that does not is taken over as a whole or, where its features are others, not at all.
    """

    def cuts(self, names: Names) -> Cuts:
        """Return every parameter that has entries for single features, cut."""


def views(tensor: Tensor, axis: int, parts: Iterable[tuple[str, int]]) -> dict[str, Tensor]:
    """Cut an axis into parts: of each a feature and how many entries it has, in order."""
    found, start = {}, 0
    for feature, size in parts:
        found[feature] = tensor.narrow(axis, start, size)
        start += size
    if start != tensor.shape[axis]:
        raise ValueError(f"{start} entries are told of, and there are {tensor.shape[axis]}")
    return found


def under(prefix: str, cuts: Cuts) -> Cuts:
    """Return the cuts of a module as those of the one that holds it."""
    return {
        f"{prefix}.{own}": Cut(cut.views, None if cut.name is None else f"{prefix}.{cut.name}")
        for own, cut in cuts.items()
    }


def tower_cuts(tower: nn.Module, names: Names) -> Cuts:
    """Return how a tower is cut; one that does not say is of all its features together."""
    if isinstance(tower, Followed):
        return tower.cuts(names)
    together = f"({', '.join(one for group in names.values() for one in group)})"
    return {
        own: Cut({together: values}) for own, values in tower.state_dict(keep_vars=True).items()
    }


def pieces(module: nn.Module, cuts: Cuts) -> dict[tuple[str, str], Piece]:
    """Return all that a module holds, tables apart, by name and feature."""
    tables = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    found: dict[tuple[str, str], Piece] = {}
    for own, values in module.state_dict(keep_vars=True).items():
        if id(values) in tables:
            continue
        cut = cuts.get(own, Cut({"": values}))
        for feature, view in cut.views.items():
            found[cut.name or own, feature] = Piece(feature, view)
    return found
