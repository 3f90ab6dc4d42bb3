"""The calls of mixed traffic: what each sends, and what is noted of its answer."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import PositiveInt

from benchmarks.rollout.bundles import item_id, user_id
from benchmarks.rollout.notes import Noted
from benchmarks.rollout.records import record
from benchmarks.rollout.traffic import NEW, request
from benchmarks.steady_load import Answer
from export.contract.strict import Strict

MIX = {
    "recall": 46,
    "stranger": 8,
    "similar": 8,
    "item": 6,
    "user": 4,
    "ready": 2,
    "put_user": 6,
    "own_user": 4,
    "erase_user": 2,
    "delete_item": 4,
    "post_item": 10,
}
"""How many of a hundred calls are of a sort, by the method of `Calls` that makes it."""

WRITTEN = 10
"""Of so many items of the catalogue one is written; what is read by its id is among the others."""


class World(Strict):
    """Who is there to be asked for, and how.

    users: stored ones, and as many whom the load stores and erases itself.
    items, clusters: of the catalogue.
    every: of so many recalls one is noted whole.
    """

    users: PositiveInt
    items: PositiveInt
    clusters: PositiveInt
    k: PositiveInt
    every: PositiveInt
    seed: int


def _nothing(answer: Answer) -> Noted:
    return {}


@dataclass(frozen=True)
class Call:
    """One request, what is known of it beforehand, and what its answer tells."""

    method: str
    path: str
    facts: Noted
    body: object = None
    told: Callable[[Answer], Noted] = _nothing

    @property
    def sent(self) -> bytes:
        """The bytes of it."""
        return request(self.method, self.path, keep=True, body=self.body)


def is_good(answer: Answer) -> bool:
    """Say whether what was asked for was done."""
    return 200 <= answer.status < 300


def named(body: bytes, name: bytes) -> str:
    """Return a string of a body without parsing all of it; empty where it is not there."""
    return body.partition(b'"%s":"' % name)[2].partition(b'"')[0].decode()


@dataclass
class Own:
    """What this load alone writes: the last editions, and who may be written next.

    Whoever is being written or read is not `free`, so that answers have an order; who was not
    answered is left alone from then on. `there` holds what was acknowledged last, None of what is
    removed.
    """

    random: random.Random
    there: dict[str, int | None] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)
    editions: dict[str, int] = field(default_factory=dict)

    def take(self) -> str | None:
        """Take one that is free."""
        if not self.free:
            return None
        at = self.random.randrange(len(self.free))
        self.free[at], self.free[-1] = self.free[-1], self.free[at]
        return self.free.pop()

    def next_edition(self, one: str) -> int:
        """Return an edition that it never was of."""
        self.editions[one] = self.editions.get(one, 0) + 1
        return self.editions[one]

    def done(self, one: str, edition: int | None, answer: Answer) -> None:
        """Take note of what it is now, if that is known."""
        if is_good(answer):
            self.there[one] = edition
            self.free.append(one)


class Calls:
    """Draws calls; each method makes one of its sort, None where nobody is free for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.seed)
        self._strangers = self._posted = self._recalls = 0
        written = range(0, world.items, WRITTEN)
        self._own_items = Own(self._random, free=[item_id(one) for one in written])
        self._own_users = Own(self._random, free=[f"w{number}" for number in range(world.users)])
        self._sorts: Sequence[str] = list(MIX)
        self._weights = list(MIX.values())

    def draw(self) -> Call:
        """Return the next call."""
        [sort] = self._random.choices(self._sorts, self._weights)
        call: Call | None = getattr(self, sort)()
        return call or self.recall()

    def recall(self) -> Call:
        """Recall for a stored user, warm or cold; every so many are noted whole."""
        self._recalls += 1
        is_whole = self._recalls % self._world.every == 0
        user = user_id(self._random.randrange(self._world.users))

        def told(answer: Answer) -> Noted:
            if not is_good(answer) or not (is_whole or _is_degraded(answer)):
                return {}
            return {"answer": json.loads(answer.body)}

        return self._recall("recall", user, told)

    def stranger(self) -> Call:
        """Recall for a user of whom nothing is known."""
        self._strangers += 1
        return self._recall("stranger", f"stranger-{self._strangers}", _nothing)

    def _recall(self, sort: str, user: str, told: Callable[[Answer], Noted]) -> Call:
        facts: Noted = {"is": sort, "user": user, "after": None}
        path = f"/recall?user_id={user}&k={self._world.k}"
        return Call("GET", path, facts, told=lambda answer: _of_recall(answer) | told(answer))

    def similar(self) -> Call:
        """Ask for what is near to an item that nobody writes."""
        path = f"/items/{self._read_only()}/similar?k={self._world.k}"
        return Call("GET", path, {"is": "similar"}, told=_version)

    def item(self) -> Call:
        """Read an item that nobody writes."""
        return Call("GET", f"/items/{self._read_only()}", {"is": "item"}, told=_version)

    def user(self) -> Call:
        """Read a stored user."""
        one = user_id(self._random.randrange(self._world.users))
        return Call("GET", f"/users/{one}", {"is": "user"})

    def ready(self) -> Call:
        """Ask whether some replica is ready."""
        return Call("GET", "/readyz", {"is": "ready"})

    def put_user(self) -> Call | None:
        """Store a user in a new edition."""
        own = self._own_users
        if (one := own.take()) is None:
            return None
        edition = own.next_edition(one)

        def told(answer: Answer) -> Noted:
            own.done(one, edition, answer)
            return {}

        facts: Noted = {"is": "put_user", "id": one, "edition": edition}
        return Call("PUT", f"/users/{one}", facts, record(one, edition, self._world.clusters), told)

    def own_user(self) -> Call | None:
        """Read a user back, who must be as was acknowledged last."""
        own = self._own_users
        if (one := own.take()) is None:
            return None
        if (edition := own.there.get(one)) is None:  # there is nobody to read
            own.free.append(one)
            return None
        expected = record(one, edition, self._world.clusters)

        def told(answer: Answer) -> Noted:
            own.free.append(one)
            if not is_good(answer):
                return {}
            got: dict[str, Any] = json.loads(answer.body)["record"]
            return {"is_stale": got != expected | {"id": one}}

        return Call("GET", f"/users/{one}", {"is": "own_user", "id": one}, told=told)

    def erase_user(self) -> Call | None:
        """Erase a user, who may be stored again later."""
        own = self._own_users
        if (one := own.take()) is None:
            return None

        def told(answer: Answer) -> Noted:
            own.done(one, None, answer)
            return {}

        facts: Noted = {"is": "erase_user", "id": one, "edition": None}
        return Call("DELETE", f"/users/{one}", facts, told=told)

    def delete_item(self) -> Call | None:
        """Remove an item, posted or of the catalogue, or one that is removed already."""
        one = self._own_items.take()
        return None if one is None else self._write("DELETE", one, None)

    def post_item(self) -> Call:
        """Post an item, new or again."""
        one = None if self._random.random() < NEW else self._own_items.take()
        if one is None:
            self._posted += 1
            one = f"new-{self._posted}"
        return self._write("POST", one, self._own_items.next_edition(one))

    def _write(self, method: str, one: str, edition: int | None) -> Call:
        def told(answer: Answer) -> Noted:
            self._own_items.done(one, edition, answer)
            if not is_good(answer):
                return {"log_id": None}
            if edition is not None:
                return {"log_id": json.loads(answer.body)["log_id"]}
            log_id = answer.head.partition(b"x-log-id:")[2].partition(b"\r\n")[0].strip()
            return {"log_id": log_id.decode()}

        facts: Noted = {"is": "write", "id": one, "edition": edition}
        if edition is None:
            return Call(method, f"/items/{one}", facts, told=told)
        body = {"id": one} | record(one, edition, self._world.clusters)
        return Call(method, "/items?vector=false", facts, body, told)

    def _read_only(self) -> str:
        number = self._random.randrange(self._world.items)
        return item_id(number + (number % WRITTEN == 0))


def _version(answer: Answer) -> Noted:
    return {"version": named(answer.body, b"version")} if is_good(answer) else {}


def _of_recall(answer: Answer) -> Noted:
    return _version(answer) | ({"is_degraded": True} if _is_degraded(answer) else {})


def _is_degraded(answer: Answer) -> bool:
    return is_good(answer) and b'"degraded":[]' not in answer.body
