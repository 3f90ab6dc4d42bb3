"""A view: what one search sees of a generation, whatever its writer does meanwhile."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from export.embedder import Vectors
from service.index.delta import Delta
from service.index.ids import Ids
from service.index.main_index import MainIndex
from service.index.recent import Recent
from service.index.top import Rows


@dataclass(frozen=True, slots=True)
class Part:
    """One part of what a search sees: its rows, and the tick at which each was retired; 0: not."""

    name: str
    ids: Sequence[str]
    vectors: Vectors
    retired: Rows

    def rows(self, ids: Collection[str]) -> Rows:
        """Return the rows of these ids, retired ones too, in no order."""
        if isinstance(self.ids, Ids):
            return self.ids.rows(ids)
        mine = range(len(self.vectors)) if ids else ()
        return np.array([row for row in mine if self.ids[row] in ids], np.int64)


@dataclass(frozen=True, slots=True)
class View:
    """What a search sees: the first `rows` rows of the delta, and no change after `tick`."""

    main: MainIndex
    recent: Recent
    delta: Delta
    rows: int
    tick: int

    def parts(self) -> list[Part]:
        """Return the parts; what is retired in them after `tick` is still seen."""
        main = self.main
        found = [Part("main", main.ids, main.vectors, main.indexed.retired)]
        for name, part, rows in (
            ("recent", self.recent.arrivals, slice(len(self.recent))),
            ("delta", self.delta, slice(self.rows)),
        ):
            if rows.stop or name == "delta":
                found.append(Part(name, part.ids, part.vectors(rows), part.retired(rows)))
        return found
