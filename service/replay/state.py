"""The items of an answer that is made again: exactly those changes that it was made of, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

from export.contract.bundle import Bundle
from export.embedder import Embedder
from service.generation import Generation
from service.records import ItemRecord
from service.replay.debug import Debug
from service.settings import Settings
from service.snapshot.format import Row, Snapshot, digest_of
from service.stores import open_store

READ_MOST = 512
"""Items read at once."""

NAMED = 10
"""Ids that a message names at most."""


class NotReplayable(Exception):
    """The items that an answer was made of are not there; the message says what is."""

    exit_code = 1


@dataclass(frozen=True)
class State:
    """Changes of items since a bundle, in whatever order, and where they are from."""

    rows: Sequence[Row]
    source: str

    @classmethod
    def of(cls, snapshot: Snapshot | None, stored: Sequence[Row] | None = None) -> "State":
        """Return what a snapshot and a store tell; without them nothing was changed."""
        rows = [] if snapshot is None else [*snapshot.rows]
        source = "no snapshot was given"
        if snapshot is not None:
            source = f"the snapshot ends at {snapshot.facts.cursor}"
        if stored is not None:
            source += ", Redis was read"
        return cls([*rows, *(stored or ())], source)

    def apply_to(self, generation: Generation, debug: Debug) -> None:
        """Have a generation that knows its bundle only be what the answer was made of.

        What came after the answer is left out. That it is the same set of changes, to the rev, is
        told by their checksum; a position could not tell it, for a replica serves what it has
        posted before it has read as far in the log.

        Raises:
            NotReplayable: It cannot be; says what differs.

        """
        _check_bundle(generation.bundle, debug)
        later = []
        for item, vector in self.rows:
            if item.rev <= debug.highest_rev:
                generation.apply(item, vector)
            else:
                later.append(item.id)
        if generation.checksum != debug.checksum:
            raise NotReplayable(self._told(generation, debug, later))
        delta = debug.index.delta
        if debug.index.main.from_bundle and not debug.index.others:
            live = {one for one in generation.changed() if one in generation}
            if set(delta.items) != live:
                raise NotReplayable("index.delta.items: other items than those that were changed")
            generation.lay_out(dict(zip(delta.items, delta.places, strict=True)), delta.rows)

    def _told(self, generation: Generation, debug: Debug, later: list[str]) -> str:
        told = (
            f"the answer was made at {debug.log_id} of {debug.changes} changes of items, of which "
            f"{generation.changes} are here; {self.source}"
        )
        if later:
            distinct = list(dict.fromkeys(later))
            return f"{told}; written after the answer, so that these may differ: {_some(distinct)}"
        if generation.highest_rev < debug.highest_rev:
            return f"{told}: write one with `firstsight items snapshot` right after the answer"
        return f"{told}, with other changes of the same revs: is it of another Redis?"


def _check_bundle(bundle: Bundle, debug: Debug) -> None:
    if digest_of(bundle) != debug.bundle:
        raise NotReplayable(f"the answer was made by another bundle than this {bundle.version}")
    main, settings = debug.index.main, bundle.manifest.index.settings
    if main.from_bundle and main.settings != settings:
        was, now = main.settings, settings
        raise NotReplayable(f"the answer was searched with index settings {was}, these are {now}")


def _some(ids: Sequence[str]) -> str:
    named = ", ".join(repr(one) for one in ids[:NAMED])
    return named if len(ids) <= NAMED else f"{named} and {len(ids) - NAMED} more"


async def read_stored(settings: Settings, generation: Generation) -> list[Row]:
    """Read all items of a Redis, as they are now; what cannot be read is left out.

    Raises:
        StoreUnavailable: It does not answer.

    """
    store, rows, lacking = open_store(settings, generation), list[Row](), list[ItemRecord]()
    try:
        async for page in store.revs.pages(READ_MOST):
            ids = [one.decode(errors="replace") for one, _ in page]
            for item in await store.read_items(ids, generation.version):
                if not isinstance(item.record, ItemRecord):
                    continue
                if item.record.op == "delete" or item.vector is not None:
                    rows.append((item.record, item.vector))
                else:
                    lacking.append(item.record)
    finally:
        await store.link.close()
    embedder = Embedder.open(generation.bundle.layout, generation.schema)
    for record in lacking:
        [vector] = embedder.embed("item", [generation.served(record).record])
        rows.append((record, vector))
    return rows
