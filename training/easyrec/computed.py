"""Features that EasyRec computes of several columns: here once, as the samples are converted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from training.easyrec.expression import Expression

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Looked:
    """What stands behind the key of the first column, in the map of the second.

    A map is `key<kv>value`, parted by `separator`; several values of a key are several words.
    """

    inputs: tuple[str, str]
    separator: str
    kv: str

    def __str__(self) -> str:
        key, table = self.inputs
        return f"what {table} has for {key}, parted by {self.separator!r}"

    def __call__(self, cells: Cells) -> list[str]:
        """Return a cell for each row; empty where the key is not in the map.

        Raises:
            ValueError: A part of a map has no key.

        """
        return [self.separator.join(self._found(*row)) for row in _rows(cells)]

    def _found(self, number: int, row: tuple[str, ...]) -> Iterator[str]:
        key, table = row
        for part in filter(None, table.split(self.separator)):
            name, joint, value = part.partition(self.kv)
            if not joint:
                raise ValueError(f"row {number}: got {part!r}, expected a key{self.kv}value")
            if name == key and value:
                yield value


@dataclass(frozen=True)
class Worked:
    """The value of an expression."""

    inputs: tuple[str, ...]
    expression: Expression

    def __str__(self) -> str:
        return self.expression.source

    def __call__(self, cells: Cells) -> list[str]:
        """Return a number for each row as text; empty where a column is, or there is no value.

        Raises:
            ValueError: A cell is no number.

        """
        columns = {
            name: np.array([_number(cell, name, n) for n, cell in enumerate(column, 1)])
            for name, column in zip(self.inputs, cells, strict=True)
        }
        found: list[float] = self.expression(columns).tolist()
        return ["" if one != one else repr(one) for one in found]


@dataclass(frozen=True)
class Joined:
    """The words of several columns joined; where a cell is split, each word with each.

    `separators` are those of the columns, "" for one word a cell.
    """

    inputs: tuple[str, ...]
    joint: str
    separators: tuple[str, ...]

    def __str__(self) -> str:
        return f"the words of {', '.join(self.inputs)}, joined by {self.joint!r}"

    @property
    def separator(self) -> str:
        """What parts the joined words of a cell, "" where there is one only."""
        return next(filter(None, self.separators), "")

    def __call__(self, cells: Cells) -> list[str]:
        """Return a cell for each row; empty where one of the columns is.

        Raises:
            ValueError: A joined word holds what parts them.

        """
        return [self._joined(*row) for row in _rows(cells)]

    def _joined(self, number: int, row: tuple[str, ...]) -> str:
        lists = [
            [word for word in (cell.split(by) if by else [cell]) if word]
            for cell, by in zip(row, self.separators, strict=True)
        ]
        words = [self.joint.join(one) for one in product(*lists)]
        for word in words if self.separator else ():
            if self.separator in word:
                raise ValueError(
                    f"row {number}: got {word!r}, expected no {self.separator!r} in it, which "
                    "parts words"
                )
        return self.separator.join(words)


Computed = Looked | Worked | Joined


def _rows(cells: Cells) -> Iterator[tuple[int, tuple[str, ...]]]:
    return enumerate(zip(*cells, strict=True), 1)


def _number(cell: str, name: str, row: int) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError:
        raise ValueError(f"row {row}: got {cell!r} in {name!r}, expected a number") from None
