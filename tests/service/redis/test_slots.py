"""A cluster's map, as a node tells it."""

import pytest
import redis

from service.redis.slots import Slots

ASKED = ("10.0.0.9", 7000)


def test_a_key_is_where_its_slot_is() -> None:
    # CRC16 of the Redis Cluster specification: "123456789" is 0x31C3, which is slot 12739.
    reply = [
        [12739, 12739, [b"c", 3, b"id"], [b"d", 4, b"id"]],
        [0, 12738, [b"a", 1, b"id"]],
        [12740, 16383, [None, 2, b"id"]],
    ]
    slots = Slots(reply, ASKED)
    assert slots.of(b"123456789") == ("c", 3)
    assert slots.of(b"fs:user:{123456789}") == ("c", 3)
    assert slots.nodes == [("a", 1), ("c", 3), ("10.0.0.9", 2)]
    assert set(slots.everyone) == {*slots.nodes, ("d", 4)}
    whole = {slots.of(b"k%d" % n) for n in range(200)}
    assert whole >= {("a", 1), ("10.0.0.9", 2)}


@pytest.mark.parametrize("reply", [[], [[0, 12738, [b"a", 1]]], [[12740, 16383, [b"a", 1]]]])
def test_a_slot_that_nobody_has_is_an_error(reply: list[list[object]]) -> None:
    with pytest.raises(redis.ConnectionError, match="slot 12739"):
        Slots(reply, ASKED).of(b"123456789")
