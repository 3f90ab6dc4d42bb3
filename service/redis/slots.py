"""Which node of a cluster holds a key, as one of the nodes told."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from service.redis.url import Address

Row = Sequence[Any]


class Slots:
    """The nodes that are primaries, each with its ranges of slots."""

    def __init__(self, reply: Sequence[Row], asked: Address) -> None:
        """Read what CLUSTER SLOTS answered: rows of first slot, last slot, primary, replicas.

        asked: who answered; a node that does not know its own name leaves it out.
        """
        rows = sorted((int(row[0]), int(row[1]), _address(row[2], asked)) for row in reply)
        self._firsts = [first for first, _, _ in rows]
        self._rows = rows
        self.nodes = list(dict.fromkeys(address for _, _, address in rows))
        others = [_address(node, asked) for row in reply for node in row[2:]]
        self.everyone = list(dict.fromkeys([*self.nodes, *others]))

    def of(self, key: bytes) -> Address:
        """Return the node that holds a key.

        Raises:
            redis.ConnectionError: No node does.

        """
        slot = key_slot(key)
        place = bisect_right(self._firsts, slot) - 1
        if place < 0 or self._rows[place][1] < slot:
            raise RedisConnectionError(f"no node of the cluster holds slot {slot}")
        return self._rows[place][2]


def _address(node: Row, asked: Address) -> Address:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return asked[0] if host in (None, "", "?") else str(host), int(node[1])
