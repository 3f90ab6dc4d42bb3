"""What a worker looks after beside its requests: gauges, and the pointer to what is served."""

import asyncio
import contextlib
import logging
import time
from typing import NoReturn, get_args

from service.observe import (
    BUNDLE_AGE_SECONDS,
    BUNDLE_REFUSED,
    DURABILITY,
    INDEX_ITEMS,
    ITEMS_CHECKSUM,
    LOG_LAG_ENTRIES,
    LOG_LAG_SECONDS,
    LOG_SKIPPED,
    READY,
    SERVED_SHARE,
)
from service.parts import Parts
from service.rollout.bundles import find_bundle
from service.rollout.pointer import Pointer
from service.rollout.pointer_store import PointerUnknown, ask_pointer, restore_pointer
from service.serving import Serving
from service.store import Link, StoreUnavailable
from service.store.durability import Level

logger = logging.getLogger(__name__)

LOOK_S = 1.0
LEVELS = get_args(Level)
EXACT = 1 << 48
"""Whole numbers below it are told exactly by a float, which all that Prometheus keeps is."""


async def watch(parts: Parts) -> NoReturn:
    """Keep the gauges current, follow the pointer, and ask for a handover when one is needed."""
    skipped = 0
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if parts.serving is not None and parts.link is not None:
                skipped = await _measure(parts.serving, skipped)
                await look(parts.link)
            if parts.link is not None:
                await _follow(parts, parts.link)
            show(parts)
        except Exception:  # a file system that is away for a while, say
            logger.exception("watch failed")


async def _measure(serving: Serving, skipped: int) -> int:
    """Measure how far each version is; return how many entries were skipped until now."""
    for cases in serving.all:
        with contextlib.suppress(StoreUnavailable):  # then it is told as far as it is known
            await cases.follower.measure()
    poisoned = sum(cases.intake.counts.poisoned for cases in serving.all)
    LOG_SKIPPED.inc(poisoned - skipped)
    return poisoned


def show(parts: Parts) -> None:
    """Set the gauges."""
    status, told = parts.readiness()
    READY.set(status == 200)
    for level in LEVELS:
        DURABILITY.labels(level).set(level == told["durability"])
    BUNDLE_REFUSED.set(parts.refused is not None)
    serving = parts.serving
    if serving is None:
        return
    for cases in serving.all:
        generation, version = cases.generation, cases.version
        INDEX_ITEMS.labels("main", version).set(generation.main_size)
        INDEX_ITEMS.labels("recent", version).set(generation.recent_size)
        INDEX_ITEMS.labels("delta", version).set(generation.delta_size)
        INDEX_ITEMS.labels("tombstones", version).set(generation.tombstones)
        SERVED_SHARE.labels(version).set(serving.share(version))
        exported = generation.bundle.manifest.lineage.exported_at
        BUNDLE_AGE_SECONDS.labels(version).set(time.time() - exported.timestamp())
        ITEMS_CHECKSUM.labels(version).set(int(generation.checksum, 16) % EXACT)
    lags = [cases.follower.lag for cases in serving.all]
    LOG_LAG_ENTRIES.set(max(lag.entries for lag in lags))
    LOG_LAG_SECONDS.set(max(lag.seconds for lag in lags))


async def look(link: Link) -> None:
    """Ask Redis again how it keeps data, unless it is silent."""
    with contextlib.suppress(StoreUnavailable):
        await link.look()


async def _follow(parts: Parts, link: Link) -> None:
    try:
        pointer = await ask_pointer(link, parts.settings)
    except PointerUnknown as error:
        logger.debug("pointer not read", extra={"reason": str(error)})
        return
    await asyncio.to_thread(follow_pointer, parts, pointer)


def follow_pointer(parts: Parts, pointer: Pointer | None) -> None:
    """Serve as the pointer says; ask for a handover where that needs another load.

    Called in a thread, for it waits for the disk, and for Redis where that has no pointer.
    """
    serving = parts.serving
    if pointer is None:
        if serving is not None:  # Redis has lost it, and with it who is served what
            restore_pointer(parts.settings, serving.pointer)
        return
    if serving is None:
        missing = [pointer.current]
    else:
        was = serving.pointer
        missing = serving.follow(pointer)
        if serving.pointer != was:
            logger.info("pointer followed", extra={"was": str(was), "now": str(serving.pointer)})
    there = [one for one in missing if find_bundle(parts.settings, one) is not None]
    reason = _why_handover(parts, pointer.current, there)
    if reason is None:
        parts.control.refusal = None  # what was refused is not wanted any more
    else:
        parts.control.ask_handover(reason)


def _why_handover(parts: Parts, current: str, there: list[str]) -> str | None:
    """Say why another load is needed; None: none is. `there` are versions that can be loaded."""
    if current in there:
        return f"version {current} is current"
    serving = parts.serving
    if serving is None or (there and serving.pointer.current != current):
        return None  # that one is waited for; with it the candidate will be loaded
    if there:
        return f"version {there[0]} is to be tried"
    if serving.unnamed_for_s() > parts.settings.unnamed_kept_s:
        return "a version is no longer served"
    if any(cases.generation.has_grown for cases in serving.all):
        return "the recent index has grown"
    return None
