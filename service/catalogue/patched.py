"""What patches named of groups that nobody gave whole: it is laid over each bundle's own group."""

from collections.abc import Mapping
from typing import NamedTuple

from export.contract.side import Record

Names = frozenset[str]


class Patched(NamedTuple):
    """The features of each group that patches named; None: the group was given whole.

    A named feature that the group does not hold was removed. The others of the group are what the
    patch found: they count where a bundle does not know the item, and for nothing where it does.
    """

    content: Names | None = None
    preference: Names | None = None

    def as_json(self) -> dict[str, list[str]]:
        """Return the stored form; empty where nothing was patched."""
        return {
            group: sorted(names) for group, names in self._asdict().items() if names is not None
        }


def read_patched(stored: object) -> Patched:
    """Read the stored form; what is none counts as groups that were given whole."""
    if not isinstance(stored, Mapping):
        return Patched()
    return Patched(_names(stored.get("content")), _names(stored.get("preference")))


def _names(stored: object) -> Names | None:
    if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
        return None
    return frozenset(stored)


def laid_over(own: Record | None, group: Record, names: Names | None) -> Record:
    """Return a written group over the bundle's own.

    Args:
        own: What the bundle says of the group; None: it does not know the item.
        group: What was written.
        names: The features of it that patches named; None: the group was given whole.

    """
    if own is None or names is None:
        return group
    below = {name: value for name, value in own.items() if name not in names}
    return below | {name: value for name, value in group.items() if name in names}
