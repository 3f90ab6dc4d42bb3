"""The checksum of a set of changes: the same in whatever order they came."""

from hashlib import blake2b

WRAP = 1 << 64


class Checksum:
    """The sum of a hash of each item's id and rev, modulo 2**64.

    A sum, and no exclusive or: there a change that is counted twice would vanish.
    """

    def __init__(self) -> None:
        self._sum = 0

    def __str__(self) -> str:
        return f"{self._sum:016x}"

    def add(self, one: str, rev: int) -> None:
        """Count an item at a rev in."""
        self._sum = (self._sum + _hash(one, rev)) % WRAP

    def remove(self, one: str, rev: int) -> None:
        """Take an item at a rev out again."""
        self._sum = (self._sum - _hash(one, rev)) % WRAP


def _hash(one: str, rev: int) -> int:
    return int.from_bytes(blake2b(f"{rev}:{one}".encode(), digest_size=8).digest(), "big")
