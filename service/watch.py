"""What a worker looks after beside its requests: gauges, and the pointer to the current version."""

import asyncio
import logging
from typing import NoReturn

from service.observe import INDEX_ITEMS, LOG_LAG_ENTRIES, LOG_LAG_SECONDS, LOG_SKIPPED
from service.parts import Parts, UseCases
from service.pointer import PointerUnknown, current_version, find_bundle

logger = logging.getLogger(__name__)

GAUGES_S = 1.0
POINTER_S = 5.0


async def watch(parts: Parts) -> NoReturn:
    """Keep the gauges current, and ask for a handover when another version should be served."""
    skipped = 0
    look_in_s = GAUGES_S
    while True:
        await asyncio.sleep(GAUGES_S)
        if parts.use_cases is not None:
            show(parts.use_cases)
            if parts.use_cases.generation.has_grown:
                parts.control.ask_handover("the delta has grown")
            poisoned = parts.use_cases.follower.counts.poisoned
            LOG_SKIPPED.inc(poisoned - skipped)
            skipped = poisoned
        look_in_s -= GAUGES_S
        if look_in_s <= 0:
            # A process without a bundle has nothing to do but to look for one.
            look_in_s = GAUGES_S if parts.use_cases is None else POINTER_S
            await asyncio.to_thread(follow_pointer, parts)


def show(cases: UseCases) -> None:
    """Set the gauges."""
    generation = cases.generation
    INDEX_ITEMS.labels("main").set(generation.main_size)
    INDEX_ITEMS.labels("delta").set(generation.delta_size)
    INDEX_ITEMS.labels("tombstones").set(generation.tombstones)
    LOG_LAG_ENTRIES.set(cases.follower.lag_entries)
    LOG_LAG_SECONDS.set(cases.follower.lag_s)


def follow_pointer(parts: Parts) -> None:
    """Ask for a handover if the current version is another one than ours, and is there."""
    try:
        current = current_version(parts.settings)
    except PointerUnknown as error:
        logger.debug("current version not read", extra={"reason": str(error)})
        return
    ours = None if parts.use_cases is None else parts.use_cases.generation.version
    if current in (None, ours) or find_bundle(parts.settings, str(current)) is None:
        return
    logger.info("another version is current", extra={"served": ours, "current": current})
    parts.control.ask_handover(f"version {current} is current")
