"""What others write into the keys of a service in Redis, and the service that reads on."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from tests.fuzz.application import Application
from tests.fuzz.asked import Asked
from tests.fuzz.mutations import ODD, mutate_bytes, mutate_json

SET_UP = (
    'PUT /users/u1\n\n{"country": "de", "taste": {"art": 1}}',
    'POST /items\n\n{"id": "i1", "topics": ["art"], "clicks": 2}',
    'POST /items\n\n{"id": "new", "topics": ["food"]}',
)
CALLS = (
    *SET_UP,
    *("GET /users/u1", "GET /recall?user_id=u1", "GET /items/i1", "GET /bundles", "GET /readyz"),
    *("GET /items/new", "GET /version", "GET /items/i1/similar", "DELETE /users/u1"),
    *("DELETE /items/i1", 'POST /recall\n\n{"user_id": "u1", "debug": true}'),
    *('PATCH /users/u1\n\n{"age": 3}', 'PATCH /items/i1\n\n{"clicks": 3}'),
    *('PATCH /items/new\n\n{"clicks": 3}', 'PATCH /items/other\n\n{"clicks": 3}'),
    "POST /bundles/rollback\n\n{}",
    'PUT /users/u1\nif-unmodified-since: Wed, 20 Nov 2030 07:06:40 GMT\n\n{"country": "de"}',
)
ACTIVATE = "POST /bundles/tiny-1/activate\n\n{}"
"""Once a round, for it starts a process."""

KEYS = (
    *(b"fs:user:u1", b"{fs}:item:i1", b"{fs}:item:other", b"{fs}:vec:tiny-1:i1", b"{fs}:salt"),
    *(b"{fs}:rev", b"{fs}:items", b"{fs}:log", b"{fs}:epoch", b"{fs}:current", b"{fs}:versions"),
    b"{fs}:snapshots",
)
POINTER = {"generation": "3", "current": "tiny-1", "candidate": "", "share": "0.0", "previous": ""}
ENTRY = {"id": "i1", "rev": "7", "op": "put"}
ROUND = 10
"""So many records are forged, then Redis is emptied and the service writes its own again."""


def forge(client: Any, rng: random.Random) -> str:
    """Do to Redis what somebody else might; return what it was.

    Raises:
        redis.ResponseError: It cannot be done to a key of that type.

    """
    key = rng.choice(KEYS)
    match rng.randrange(8):
        case 0 | 1 | 2:
            value = _changed(client.get(key) or b"{}", rng)
            client.set(key, value)
            return f"SET {key!r} {value[:300]!r}"
        case 3:
            entry = _fields(ENTRY, rng)
            client.xadd("{fs}:log", entry)
            return f"XADD {entry}"
        case 4:
            pointer = _fields(POINTER, rng)
            client.hset("{fs}:current", mapping=pointer)
            return f"HSET {pointer}"
        case 5:
            client.delete(key)
            client.lpush(key, "x")
            return f"LPUSH {key!r}"
        case 6:
            client.delete(key)
            return f"DEL {key!r}"
        case _:
            member = rng.randbytes(rng.choice((0, 3, 300)))
            client.zadd("{fs}:items", {member: rng.choice((-1.0, 0.0, 7.5, 1e300))})
            return f"ZADD {member[:20]!r}"


def _changed(value: bytes, rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0 | 1 if value.startswith(b"{"):
            return mutate_json(value, rng)
        case 2:
            return rng.randbytes(rng.choice((0, 1, 32, 33, 4096)))
        case _:
            return mutate_bytes(value, rng)


def _fields(good: dict[str, str], rng: random.Random) -> dict[str, bytes]:
    """Return the fields of a hash or an entry, one of them another or missing."""
    fields = {name: text.encode() for name, text in good.items()}
    name = rng.choice([*fields, "other"])
    odd = (b"", b"-1", b"nan", b"99999999999999999999", b"0x1", b"\xff", b"tiny-2", b"..", b"1e400")
    if rng.random() < 0.2:
        fields.pop(name, None)
        return fields or {"other": b""}
    return fields | {name: rng.choice((*odd, str(rng.choice(ODD)).encode("utf-8", "replace")))}


def try_records(
    application: Application, seed: int, is_over: Callable[[int], bool]
) -> Counter[str]:
    """Forge records and ask, until it is over; return how often each call had each status.

    Raises:
        AssertionError: An answer breaks a promise; says what had been written before.

    """
    rng = random.Random(seed)
    statuses: Counter[str] = Counter()
    number = 0
    with redis.Redis.from_url(application.redis_url) as client:
        while not is_over(number):
            client.flushall()
            for call in SET_UP:
                ask(application, call)
            done: list[str] = []
            for _ in range(ROUND):
                number += 1
                try:
                    done.append(forge(client, rng))
                except redis.ResponseError:
                    continue
                for call in (*rng.sample(CALLS, 4), *([ACTIVATE] * (number % ROUND == 0))):
                    try:
                        status = ask(application, call)
                    except AssertionError as error:
                        told = "\n".join([f"seed {seed}: {call}", *done, str(error)])
                        raise AssertionError(told) from None
                    statuses[f"{call.partition(chr(10))[0]} {status}"] += 1
        client.flushall()
    return statuses


def ask(application: Application, call: str) -> int:
    """Ask for one of the calls; return the status."""
    head, _, body = call.partition("\n\n")
    asked = Asked.read(f"{head}\nauthorization: KEY\n\n{body}".encode())
    assert asked is not None
    return application.ask(asked, may_lack_store=True).status
