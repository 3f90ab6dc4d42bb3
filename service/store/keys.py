"""The names of all keys in Redis; an id is always the last part, whatever it holds."""

import re


class Keys:
    """Keys under one prefix.

    Those of the catalogue share the hash tag `{prefix}`, and with it one node of a cluster, so
    that a script can change them together. Those of users carry none.
    """

    def __init__(self, prefix: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", prefix):
            raise ValueError(f"prefix: got {prefix!r}, expected 1 to 32 of A-Z a-z 0-9 _ . -")
        self._catalogue = b"{" + prefix.encode() + b"}:"
        self._users = prefix.encode() + b":user:"
        self._erased = prefix.encode() + b":erased:"
        self.items = self._catalogue + b"items"
        self.rev = self._catalogue + b"rev"
        self.log = self._catalogue + b"log"
        self.epoch = self._catalogue + b"epoch"
        self.snapshots = self._catalogue + b"snapshots"
        self.versions = self._catalogue + b"versions"
        self.salt = self._catalogue + b"salt"

    def item(self, one: str) -> bytes:
        """The record of an item."""
        return self._catalogue + b"item:" + one.encode()

    def vector(self, version: str, one: str) -> bytes:
        """The vector that a version gives an item; a version holds no colon."""
        return self._catalogue + b"vec:" + version.encode() + b":" + one.encode()

    def written(self, version: str, one: str) -> list[bytes]:
        """All that a write of an item changes, in the order in which the scripts name it."""
        own = [self.item(one), self.items, self.rev, self.log, self.epoch]
        return [*own, self.vector(version, one), self.versions]

    def user(self, one: str) -> bytes:
        """The record of a user."""
        return self._users + one.encode()

    def erased(self, digest: str) -> bytes:
        """The mark that a user was erased, named by a salted hash of the id."""
        return self._erased + digest.encode()
