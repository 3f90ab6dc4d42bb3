"""What a replica must answer, by dicts and exact numpy; only the towers are the bundle's own."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from export.contract.side import SideName
from export.embedder import Embedder, Vectors
from tests.tiny import tiny_items

Features = dict[str, Any]
PREFERENCE = {"user": {"recent", "taste"}, "item": {"clicks"}}
CONTENT = {"user": {"country", "age"}, "item": {"topics", "length"}}
ITEMS = 40


def split(side: str, features: Mapping[str, Any]) -> tuple[Features, Features]:
    """Return the features of both groups, those that are null too."""
    content = {name: features[name] for name in features if name in CONTENT[side]}
    return content, {name: features[name] for name in features if name in PREFERENCE[side]}


def known(features: Mapping[str, Any]) -> Features:
    return {name: value for name, value in features.items() if value is not None}


def state_of(side: str, record: Features) -> tuple[str, list[str]]:
    if record.keys() & PREFERENCE[side]:
        return "warm", []
    if record.keys() & CONTENT[side]:
        return "cold", ["preference"]
    return "fallback", ["content", "preference"]


class Oracle:
    """Items, users and their order of writing."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, Vectors] = {}
        table = tiny_items(embedder.schema, ITEMS)
        self.trained = {one: split("item", table.records[n]) for n, one in enumerate(table.ids)}
        self.share = dict(
            zip(table.ids, table.extras.column("popularity").to_pylist(), strict=True)
        )
        self.items: dict[str, Features] = {
            one: {**content, **preference} for one, (content, preference) in self.trained.items()
        }
        self.written: dict[str, Features] = {}  # the preference of each, where one was written
        self.fresh: list[str] = []  # the last written first
        self.users: dict[str, Features] = {}

    def vector(self, side: SideName, record: Features) -> Vectors:
        """Return the vector of a record, as a tower run for it alone gives it."""
        key = f"{side} {sorted(record.items())}"
        if key not in self._vectors:
            features = self._embedder.schema.side(side).parse(record)
            self._vectors[key] = self._embedder.embed(side, [features])[0]
        return self._vectors[key]

    def post(self, one: str, posted: Features) -> None:
        """Take over a post: content as a whole, preference where it is given."""
        content, preference = split("item", known(posted))
        if preference or posted.get("preference", "") is None:
            self.written[one] = preference
        below = self.trained[one][1] if one in self.trained else {}
        self._put(one, content | self.written.get(one, below))

    def patch(self, one: str, patch: Features) -> None:
        """Merge features into those of an item that is there."""
        content, preference = split("item", self.items[one])
        more_content, more = split("item", patch)
        if more or "preference" in patch:
            kept = {} if "preference" in patch else preference
            preference = self.written[one] = known(kept | more)
        self._put(one, known(content | more_content) | preference)

    def _put(self, one: str, record: Features) -> None:
        self.items[one] = record
        if one not in self.trained:
            self.fresh = [one, *(other for other in self.fresh if other != one)]

    def delete(self, one: str) -> None:
        """Remove an item, with all that was written of it."""
        self.items.pop(one, None)
        self.written.pop(one, None)
        self.fresh = [other for other in self.fresh if other != one]

    def put_user(self, one: str, features: Features) -> None:
        """Store a user's features in place of all others."""
        self.users[one] = known({n: v for n, v in features.items() if n != "preference"})

    def patch_user(self, one: str, patch: Features) -> None:
        """Merge features into those of a user."""
        content, preference = split("user", self.users.get(one, {}))
        kept = {} if "preference" in patch else preference
        patch = {name: value for name, value in patch.items() if name != "preference"}
        self.users[one] = known({**content, **kept, **patch})

    def user(self, asked: Features) -> tuple[Features, str, list[str]]:
        """Return what a recall knows of its user, without context; the state; what is dropped."""
        record = dict(self.users.get(asked.get("user_id", ""), {}))
        if "history" in asked:
            record = {n: v for n, v in record.items() if n not in PREFERENCE["user"]}
            record |= self._folded([one for one in asked["history"] if one in self.items])
        inline = dict(asked.get("user", {}))
        if "preference" in inline:
            del inline["preference"]
            record = {n: v for n, v in record.items() if n not in PREFERENCE["user"]}
        record = known({**record, **inline})
        if asked.get("cold"):
            record = {n: v for n, v in record.items() if n not in PREFERENCE["user"]}
        state, dropped = state_of("user", record)
        context = known(asked.get("context", {}))
        return record | context, state, dropped + ([] if context else ["context.tab"])

    def _folded(self, history: list[str]) -> Features:
        if not history:
            return {}
        taste: dict[str, float] = {}
        for one in history:
            for topic in self.items[one].get("topics", []):
                taste[topic] = taste.get(topic, 0) + 1
        return {"recent": history[-5:], "taste": taste}

    def scores(self, query: Vectors, excluded: Collection[str]) -> dict[str, float]:
        """Return the score of every item that may be found."""
        ids = [one for one in self.items if one not in excluded]
        if not ids:
            return {}
        matrix = np.stack([self.vector("item", self.items[one]) for one in ids])
        return dict(zip(ids, (matrix @ query).tolist(), strict=True))

    def popular(self, k: int, excluded: Collection[str]) -> list[str]:
        """Return popular items, and in every tenth place a fresh one."""
        usual = iter([o for o in self.share if o in self.items and o not in excluded])
        fresh = iter([o for o in self.fresh if o not in excluded])
        return list(_mixed(usual, fresh, k))


def _mixed(usual: Iterator[str], fresh: Iterator[str], k: int) -> Iterator[str]:
    for place in range(1, k + 1):
        first, second = (fresh, usual) if place % 10 == 0 else (usual, fresh)
        one = next(first, None) or next(second, None)
        if one is None:
            return
        yield one
