"""What there is to be served, and what is: the versions in the folder and the pointer, as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from service.rollout.bundles import Listed
from service.rollout.pointer import Pointer

ROLES = ("current", "candidate", "previous")


def overview(
    listed: Sequence[Listed], pointer: Pointer | None, unknown: str | None
) -> dict[str, Any]:
    """Return the document of `bundle list --json` and of `GET /bundles`.

    unknown: why the pointer could not be read, if so.
    """
    return {
        "pointer": None if pointer is None else asdict(pointer),
        "unknown": unknown,
        "bundles": [row(one, pointer) for one in listed],
    }


def row(one: Listed, pointer: Pointer | None) -> dict[str, Any]:
    """Return a version with what the pointer says of it; the previous one may be tried again."""
    named = () if pointer is None else ROLES
    roles = [role for role in named if getattr(pointer, role) == one.version]
    share = pointer.share if pointer is not None and "candidate" in roles else None
    return asdict(one) | {"roles": roles, "share": share}
