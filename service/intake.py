"""The intake: takes over into a generation what was written of items, each in its newest state."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from export.embedder import Embedder, Vectors
from service.generation import Generation
from service.records import ItemRecord, Unreadable, read_item, stored_item
from service.store import LogId, Store, StoredItem

logger = logging.getLogger(__name__)

SLICE = 64
"""Items taken over before others on the event loop have their turn."""


@dataclass
class Taken:
    """What an intake has done, counted since its start."""

    applied: int = 0
    """Changes taken over."""
    embedded: int = 0
    """Of these, items whose vector was computed here."""
    poisoned: int = 0
    """Records, and entries of the log, that were set aside."""
    ignored: int = 0
    """Single values left out because the schema of this version cannot read them."""


class Intake:
    """Reads records, computes the vectors that nobody kept, and applies both.

    What cannot be taken over, for whatever reason, is set aside: counted, told, and in nobody's
    way. A reconciliation tries it again.
    """

    def __init__(self, store: Store, generation: Generation, embedder: Embedder) -> None:
        self._store = store
        self._generation = generation
        self._embedder = embedder
        self._made: list[tuple[str, int, Vectors]] = []  # vectors that Redis has not yet
        self.counts = Taken()

    async def refresh(
        self, changes: Iterable[tuple[str, int]], places: Mapping[str, LogId] | None = None
    ) -> None:
        """Read the items that are said to be of a newer rev than is known, and take them over.

        Args:
            changes: Ids with revs, in any order.
            places: Where the log tells of them, for what is said of one that is set aside.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        known_rev = self._generation.known_rev
        ids = list(dict.fromkeys(one for one, rev in changes if rev > known_rev(one)))
        for start in range(0, len(ids), SLICE):
            part = ids[start : start + SLICE]
            stored = await self._store.read_items(part, self._generation.version)
            self._take(dict(zip(part, stored, strict=True)), places or {})
            await self.keep()
            await asyncio.sleep(0)

    async def look_up(self, changes: Iterable[tuple[str, int]]) -> None:
        """Do as `refresh` does where a request waits: no longer than for a write, by its breaker.

        Raises:
            StoreUnavailable: The store does not answer; what was read until then is applied.

        """
        async with self._store.link.writing.answering():
            await self.refresh(changes)

    def take_over(self, written: Sequence[ItemRecord]) -> set[str]:
        """Take over what another version of this process has written; return ids that cannot be.

        Nobody is asked for it: what is stored is what was written. Vectors that are made of it here
        go to Redis with the next `keep`.

        Args:
            written: As the store holds them, with their revs.

        """
        side = self._generation.schema.item
        read = {item.id: read_item(side, item.id, stored_item(item)) for item in written}
        self._take({one: StoredItem(record, None) for one, record in read.items()}, {})
        known_rev = self._generation.known_rev
        return {item.id for item in written if known_rev(item.id) < item.rev}

    async def keep(self) -> None:
        """Give Redis the vectors that were made here; one that is lost on the way is made again.

        Raises:
            StoreUnavailable: The store does not answer.

        """
        made, self._made = self._made, []
        if made:
            await self._store.keep_vectors(self._generation.version, made)

    def set_aside(self, reason: str, **facts: str) -> None:
        """Count and tell what is not taken over."""
        self.counts.poisoned += 1
        logger.warning("log entry or item set aside", extra={"reason": reason, **facts})

    def _take(self, stored: Mapping[str, StoredItem], places: Mapping[str, LogId]) -> None:
        """Apply records by id; where no vector of that rev is kept, compute it."""
        bad: dict[str, str] = {}
        lacking = []
        for one, item in stored.items():
            record = item.record
            if isinstance(record, Unreadable):
                bad[one] = str(record)
            elif record is None or record.rev <= self._generation.known_rev(one):
                continue  # vanished with a reset, which the next check notices; or known
            elif record.op == "delete" or item.vector is not None:
                self._apply(record, item.vector, bad)
            else:
                lacking.append(record)
        for record, vector in self._embed(lacking, bad):
            if self._apply(record, vector, bad):
                self._made.append((record.id, record.rev, vector))
        for one, reason in bad.items():
            at = {"at": str(places[one])} if one in places else {}
            self.set_aside(reason, id=one, **at)

    def _embed(
        self, records: Sequence[ItemRecord], bad: dict[str, str]
    ) -> list[tuple[ItemRecord, Vectors]]:
        """Compute vectors; a record that cannot be embedded is noted and takes none along."""
        if not records:
            return []
        try:
            served = [self._generation.served(record).record for record in records]
            vectors = self._embedder.embed("item", served)
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            if len(records) == 1:
                bad[records[0].id] = _told(error)
                return []
            return [pair for record in records for pair in self._embed([record], bad)]
        self.counts.embedded += len(records)
        return list(zip(records, vectors, strict=True))

    def _apply(self, record: ItemRecord, vector: Vectors | None, bad: dict[str, str]) -> bool:
        """Apply a record, or note why it cannot be; say whether it was newer."""
        try:
            is_newer = self._generation.apply(record, vector)
        except Exception as error:  # one that is in everybody's way would hold up all that follow
            bad[record.id] = _told(error)
            return False
        self.counts.applied += is_newer
        self.counts.ignored += record.ignored
        return is_newer


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
