"""Growth: one step in which what has gathered in the delta goes into the recent index."""

import logging
from dataclasses import dataclass, field

import numpy as np

from export.contract.bundle import IndexReport
from export.embedder import Vectors
from export.index.tune import denser, ef_for
from export.index.twins import Pause, Twins
from service.index.arrivals import Arrivals
from service.index.delta import Delta
from service.index.main_index import graph_settings
from service.index.recent import Recent
from service.index.top import Rows

logger = logging.getLogger(__name__)


class NoRoom(Exception):
    """What gathers in the delta does not fit into the recent index."""


@dataclass
class Growing:
    """A recent index, and the twins that its graphs come from.

    measured: how many rows the graph had when its recall was last compared with exact search.
    """

    recent: Recent
    twins: Twins
    report: IndexReport
    measured: int = 0

    @classmethod
    def empty(cls, report: IndexReport, dim: int, room: int) -> "Growing":
        """Return one of nothing, with room for so many rows."""
        twins = Twins(graph_settings(report), dim, room)
        return cls(Recent(Arrivals(dim), twins.read()), twins, report)

    def must_begin_anew(self, room: int) -> bool:
        """Say whether it has less than this room, half of it is gone, or a step has failed."""
        has_failed = self.twins.is_broken or len(self.twins) != len(self.recent)
        is_thin = self.recent.arrivals.live * 2 < len(self.recent)
        return has_failed or is_thin or self.twins.room < room


@dataclass
class Growth:
    """What goes where in one step.

    The writer of a generation makes it, a thread runs `build`, and the writer takes it over with
    `finish`. The thread changes only what nobody else holds: the twin that is not searched, and
    all of a recent index that begins anew.

    growing: what takes them in; if `is_anew`, what was there before, and `build` replaces it.
    room: for so many rows, if it begins anew.

    sources: the arrivals, and which rows of them go into the recent index.
    seen: so many rows of the delta were looked at; what has come since stays in a delta.
    """

    growing: Growing
    delta: Delta
    seen: int
    sources: list[tuple[Arrivals, Rows]]
    room: int
    is_anew: bool
    ids: list[str] = field(default_factory=list)
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @classmethod
    def begin(cls, growing: Growing, delta: Delta, room: int) -> "Growth | None":
        """Choose what goes: the live rows of the delta, and all that are live if it begins anew.

        None while the twin behind is still searched.

        Raises:
            NoRoom: They are more than there is room for, until the main index takes them in.

        """
        sources: list[tuple[Arrivals, Rows]] = [(delta, delta.live_rows())]
        is_anew = growing.must_begin_anew(room)
        if is_anew:
            old = growing.recent.arrivals
            sources.insert(0, (old, old.live_rows()))
        elif not growing.twins.can_grow:
            return None
        kept = 0 if is_anew else len(growing.recent)
        if kept + sum(len(rows) for _, rows in sources) > room:
            raise NoRoom(f"the recent index has room for {room} rows, and more were posted")
        return cls(growing, delta, len(delta), sources, room, is_anew)

    def build(self, pause: Pause = lambda _: None) -> None:
        """Link the rows into the twin; `pause` is called after each slice, see `Twins.grow`."""
        for part, rows in self.sources:
            self.ids += [part.ids[row] for row in rows.tolist()]
        self.vectors = np.concatenate([part.vectors(rows) for part, rows in self.sources])
        if self.is_anew:
            dim = self.vectors.shape[1]
            self.growing = Growing.empty(self.growing.report, dim, self.room)
        growing = self.growing
        growing.twins.grow(self.vectors, pause)
        if len(growing.twins) >= 2 * growing.measured:
            growing.measured = len(growing.twins)
            self._meet_target(pause)
        if self.is_anew:
            growing.recent.arrivals.extend(self.ids, self.vectors)

    def _meet_target(self, pause: Pause) -> None:
        """Compare with exact search; raise `ef` and, where that is not enough, link more densely.

        Done whenever the graph has doubled, so in proportion to what is new.
        """
        growing, report = self.growing, self.growing.report
        known = growing.recent.arrivals.vectors(slice(len(growing.recent)))
        vectors = np.concatenate([known, self.vectors])
        while True:
            twins = growing.twins
            index = twins.read()
            twins.ef, recall = ef_for(index, vectors, k=report.k, target=report.target_recall)
            settings = denser(twins.settings)
            if recall >= report.target_recall or settings is None:
                break
            growing.twins = Twins(settings, twins.dim, twins.room)
            growing.twins.grow(vectors, pause)
        if recall < report.target_recall:
            facts = {"recall": recall, "target": report.target_recall}
            logger.warning("recent index misses its recall", extra=facts)

    def finish(self) -> tuple[Growing, Delta]:
        """Return the recent index with these rows, and a delta of what came since.

        Rows that were retired since are retired there too.
        """
        old, arrivals = self.growing, self.growing.recent.arrivals
        if not self.is_anew:
            arrivals.extend(self.ids, self.vectors)
        first = len(arrivals) - len(self.ids)
        retired = np.concatenate([part.retired(rows) for part, rows in self.sources])
        for at in np.flatnonzero(retired).tolist():
            arrivals.retire(first + at, int(retired[at]))
        recent = Recent(arrivals, old.twins.read())
        return Growing(recent, old.twins, old.report, old.measured), self.delta.rest(self.seen)
