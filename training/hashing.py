"""A share of ids, or of pairs of ids, chosen by hash: the same ones on every machine and day."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def chosen(ids: Iterable[str], share: float, salt: str) -> Flags:
    """Choose a share of ids; whether one is chosen does not depend on the others."""
    return _hashes(ids, salt) < share * 2**32


def chosen_pairs(
    users: Sequence[str],
    items: Sequence[str],
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    share: float,
    salt: str,
) -> Flags:
    """Choose a share of the rows (`user`, `item`: places in `users`, `items`) by both ids."""
    high = _hashes(users, f"{salt} user")[user].astype(np.uint64)
    low = _hashes(items, f"{salt} item")[item].astype(np.uint64)
    mixed = _mixed((high << np.uint64(32)) | low) >> np.uint64(32)
    return mixed < share * 2**32


def _hashes(ids: Iterable[str], salt: str) -> NDArray[np.uint32]:
    salted = blake2b(salt.encode(), digest_size=4)
    digests = []
    for one in ids:
        own = salted.copy()
        own.update(one.encode())
        digests.append(own.digest())
    return np.frombuffer(b"".join(digests), dtype="<u4")


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread 64 bits over 64 bits: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
