"""A view: what one search sees of a generation, whatever its writer does meanwhile."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass

import numpy as np

from export.embedder import Vectors
from service.index.arrivals import Arrivals
from service.index.delta import Delta
from service.index.found import Found, Named, merge_all
from service.index.ids import Ids
from service.index.main_index import MainIndex
from service.index.recent import Recent
from service.index.top import Hits, Rows, Scores


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

    def search(
        self, queries: Vectors, ks: Sequence[int], excluded: Sequence[Set[str]]
    ) -> list[Found]:
        """Return for each query [b, dim] its k nearest items, best first, equal ones by id.

        Queries are not checked, see `check_vectors`. The main index is searched first: of what
        came since, only what is as near as its last hit needs a name and a place.
        """
        main, recent, delta = self.main, self.recent, self.delta
        asked = [min(k, len(main) + len(recent) + self.rows) for k in ks]
        hits = main.search(queries, asked, [main.ids.rows(ids) for ids in excluded], self.tick)
        floors = _floors(hits, asked)
        others: list[Named] = [NOTHING] * len(queries)
        if len(recent):
            wide = recent.arrivals.widened(asked, excluded)
            late = recent.search(queries, wide, floors, self.tick)
            _add(others, recent.arrivals, late, excluded)
        if self.rows:
            wide = delta.widened(asked, excluded)
            late = delta.search(queries, wide, floors, self.rows, self.tick)
            _add(others, delta, late, excluded)
        return merge_all(main.ids, hits, others, ks)


NOTHING: Named = ([], np.empty(0, np.float32))


def _floors(hits: Sequence[Hits], ks: Sequence[int]) -> Scores:
    """Return the least score that can still be among the k best of each query."""
    pairs = zip(hits, ks, strict=True)
    lasts = [scores[-1] if len(scores) == k > 0 else -np.inf for (_, scores), k in pairs]
    return np.array(lasts, np.float32)


def _add(
    others: list[Named], part: Arrivals, late: Sequence[Hits], excluded: Sequence[Set[str]]
) -> None:
    """Add to what each query has the names of what was found in a part."""
    for at, (rows, scores) in enumerate(late):
        if len(rows):
            names, own = part.named(rows, scores, excluded[at])
            before, theirs = others[at]
            others[at] = (
                ([*before, *names], np.concatenate([theirs, own])) if before else (names, own)
            )


@dataclass(frozen=True, slots=True)
class Searches:
    """Searches of one view: queries [b, dim], and for each its k and the ids that it excludes."""

    view: View
    queries: Vectors
    ks: Sequence[int]
    excluded: Sequence[Set[str]]

    def run(self) -> list[Found]:
        """Return what each finds, see `View.search`; in whatever thread."""
        return self.view.search(self.queries, self.ks, self.excluded)
