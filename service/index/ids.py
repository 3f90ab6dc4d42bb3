"""Many ids in little memory, found both ways; reading them leaves shared pages shared."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, overload

import numpy as np
import orjson
from numpy.typing import NDArray

from service.index.top import Rows

NONE: Rows = np.empty(0, np.int64)


class Ids(Sequence[str]):
    """Distinct ids by row, and rows by id; 20 bytes an id beside its text.

    A list of strings and a dict take four times as much, and to read a string is to write its
    reference count, so that every forked worker would end up with a copy of its own. The text of
    an id is its JSON string and a comma, so that an answer is cut from it as it stands.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        encoded = [orjson.dumps(one) + b"," for one in ids]
        self._text = np.frombuffer(b"".join(encoded), np.uint8)
        self._starts = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=self._starts[1:])
        # `hash` keeps its seed over a fork, but not over a pickle: an Ids is never pickled.
        hashes = np.fromiter(map(hash, ids), np.int64, len(encoded))
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._order = order.astype(np.int32)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...
    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return self.take(np.arange(*row.indices(len(self)), dtype=np.int64))
        row = range(len(self))[row]  # negative rows, IndexError
        one: str = orjson.loads(self._text[self._starts[row] : self._starts[row + 1] - 1].data)
        return one

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), 1024):
            yield from self[start : start + 1024]

    def __contains__(self, one: object) -> bool:
        return isinstance(one, str) and self.row(one) is not None

    def take(self, rows: NDArray[np.integer[Any]]) -> list[str]:
        """Return the ids of these rows; a row out of range is the caller's error."""
        ids: list[str] = orjson.loads(b"[%b]" % self.texts(rows)[0][:-1])
        return ids

    def texts(self, rows: NDArray[np.integer[Any]]) -> tuple[bytes, NDArray[np.int64]]:
        """Return the ids of these rows as JSON strings, a comma after each, and where each ends.

        All of them are copied at once: a slice of its own for each would cost ten times as much.
        """
        sizes = self._starts[rows + 1] - self._starts[rows]
        ends = np.cumsum(sizes)
        shifts = np.repeat(self._starts[rows] - ends + sizes, sizes)
        return self._text[np.arange(len(shifts)) + shifts].tobytes(), ends

    def row(self, one: str) -> int | None:
        """Return the row of an id, or None if it is not here."""
        key = hash(one)
        place = int(self._hashes.searchsorted(key))
        while place < len(self._hashes) and self._hashes[place] == key:
            row = int(self._order[place])
            if self[row] == one:
                return row
            place += 1
        return None

    def rows(self, ids: Collection[str]) -> Rows:
        """Return the rows of those of the ids that are here, in no order."""
        if not ids:
            return NONE
        found = self.places(list(ids))
        return found[found >= 0]

    def places(self, ids: Sequence[str]) -> Rows:
        """Return the row of each id, in order, -1 for one that is not here."""
        found: Rows = np.full(len(ids), -1, dtype=np.int64)
        if not len(self) or not len(ids):
            return found
        keys = np.fromiter(map(hash, ids), np.int64, len(ids))
        places = np.minimum(self._hashes.searchsorted(keys), len(self) - 1)
        hits = np.flatnonzero(self._hashes[places] == keys)
        found[hits] = self._order[places[hits]]
        asked = [ids[hit] for hit in hits.tolist()]
        if self.take(found[hits]) == asked:
            return found
        # Another id of the same hash stands first, or only.
        rows = (self.row(one) for one in asked)
        found[hits] = [-1 if row is None else row for row in rows]
        return found
