"""The words of one item feature, as numbers in the order of their text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from export.contract.errors import DataError
from training.ragged import Ragged


@dataclass(frozen=True, eq=False)
class ItemWords:
    """What a profile is made of: `items[i]` holds indices into `words` of item i.

    Ascending text makes ascending indices, so equal weights are ordered by index. Raises
    DataError if the words are in another order, or an index lies outside of them.
    """

    words: Sequence[str]  # distinct, ascending
    items: Ragged

    def __post_init__(self) -> None:
        for before, after in zip(self.words, self.words[1:], strict=False):
            if before >= after:
                raise DataError(
                    f"words: {after!r} follows {before!r}, expected distinct, ascending text"
                )
        values = self.items.values
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < len(self.words):
            raise DataError(f"words: got an index outside of the {len(self.words)} words")

    @classmethod
    def of(cls, values: Sequence[Mapping[str, float] | Iterable[str]]) -> "ItemWords":
        """Give numbers to the words of each item: some words, or a mapping of them to weights.

        The feature has weights if any item's value is a mapping.
        """
        weighted = any(isinstance(value, Mapping) for value in values)
        bags = [_bag(value) for value in values]
        words = sorted({word for bag in bags for word in bag})
        index = {word: i for i, word in enumerate(words)}
        flat = np.array([index[word] for bag in bags for word in bag], dtype=np.int32)
        items = Ragged.of(np.array([len(bag) for bag in bags], dtype=np.int64), flat)
        if not weighted:
            return cls(words, items)
        weights = np.array([weight for bag in bags for weight in bag.values()], dtype=np.float32)
        return cls(words, Ragged(items.indptr, items.values, weights, items.missing))


def _bag(value: Mapping[str, float] | Iterable[str]) -> Mapping[str, float]:
    if isinstance(value, Mapping):
        return value
    return dict.fromkeys(value, 1.0)
