"""Which version is served: the pointer in Redis, shared by all replicas."""

import json
import logging
from pathlib import Path
from typing import Final

import redis

from export.contract.bundle import VERSION, BundleLayout, check_version
from export.contract.errors import BundleError
from service.settings import Settings

logger = logging.getLogger(__name__)

TIMEOUT_S = 1.0

READ_OR_SET: Final = """
-- Answers the current version; where there is none and one is offered, that becomes the first.
-- KEYS: current. ARGV: the offered version or ''.
local current = redis.call('HGET', KEYS[1], 'current')
if current then return current end
if ARGV[1] == '' then return false end
redis.call('HSET', KEYS[1], 'generation', 1, 'current', ARGV[1], 'candidate', '', 'share', 0)
return ARGV[1]
"""


class PointerUnknown(Exception):
    """Redis did not say which version is current."""


def current_version(settings: Settings, offered: str = "") -> str | None:
    """Return the current version; an offered one becomes it only if there is none.

    Blocks for up to a second; used where no request waits for it.

    Raises:
        PointerUnknown: Redis does not answer, or with something that is no version.

    """
    if settings.redis is None:
        raise PointerUnknown("no Redis is given")
    key = f"{{{settings.prefix}}}:current"
    try:
        with redis.Redis.from_url(
            settings.redis.get_secret_value(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        ) as client:
            found = client.eval(READ_OR_SET, 1, key, offered)
    except redis.RedisError as error:
        raise PointerUnknown(f"{type(error).__name__}: {error}") from error
    if found is None:
        return None
    version = found.decode(errors="replace") if isinstance(found, bytes) else str(found)
    if not VERSION.fullmatch(version):
        raise PointerUnknown(f"{key} holds {version!r:.80}, which is no version")
    return version


def offered_version(folder: Path) -> str:
    """Return the version that a bundle's manifest names; its files are not looked at.

    Raises:
        BundleError: There is no bundle.

    """
    try:
        manifest = json.loads(BundleLayout(folder).manifest.read_bytes())
        return check_version(str(manifest["version"]))
    except OSError as error:
        raise BundleError(f"{folder}: no bundle here: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{folder}: manifest.json names no version") from error


def find_bundle(settings: Settings, version: str) -> Path | None:
    """Return the folder of a version: in the bundles folder, or the one that `--bundle` names."""
    folder = settings.bundles / version
    if BundleLayout(folder).manifest.is_file():
        return folder
    offered = settings.bundle
    return offered if offered is not None and offered_version(offered) == version else None


def bundle_to_serve(settings: Settings) -> Path | None:
    """Return the bundle to serve now, or None while there is none.

    The pointer wins over `--bundle`; where Redis does not answer, `--bundle` is served.

    Raises:
        BundleError: `--bundle` names something that is no bundle.

    """
    try:
        current = current_version(settings)
    except PointerUnknown as error:
        logger.warning("current version not read", extra={"reason": str(error)})
        return settings.bundle
    return settings.bundle if current is None else find_bundle(settings, current)


def activate_first(settings: Settings, version: str) -> None:
    """Make a version that has been loaded the current one, if there is none."""
    try:
        current_version(settings, version)
    except PointerUnknown as error:
        logger.warning("version not activated", extra={"reason": str(error)})
