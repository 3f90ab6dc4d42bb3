"""The world of the benchmark: a bundle, stored users, posted items, and what is truly nearest."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from redis import Redis

from benchmarks.recall_http.given import Given
from benchmarks.recall_http.load import K
from benchmarks.recall_http.records import draw_records, make_schema
from benchmarks.recall_http.tower import tower
from export.catalogue import Parts, write_bundle
from export.contract.bundle import BundleLayout, Lineage
from export.contract.encoder import build_encoder
from export.contract.side import SIDES, Record
from export.contract.tables import RecordTable
from export.embedder import Vectors, open_bundle
from export.index.hnsw import HnswConfig
from export.index.tune import TunedKind
from export.tower_file import TowerFile
from service.records import Groups, UserRecord, parse_posted, write_json
from service.store.keys import Keys

TUNING = 2000  # users on whose vectors the index is tuned; nobody asks for them
KEY = "fs"
USERS_AT_ONCE = 100  # compared with all items
USERS, ITEMS, OTHERS, POSTED = range(4)  # seeds of what is drawn


def make_bundle(target: Path, items: int, index: TunedKind = "hnsw") -> None:
    """Write a bundle of made items under real towers, by the real export."""
    schema = make_schema(items)
    towers = {
        side: TowerFile.join(schema, side, build_encoder(schema, side), tower(schema, side), {})
        for side in SIDES
    }
    records = [schema.item.parse(one) for one in draw_records("item", items, items, ITEMS)]
    share, seen = np.full(items, 1 / items), np.full(items, 1.65e9)
    extras = pa.table({"popularity": share, "first_seen": seen})
    catalogue = RecordTable([f"i{n}" for n in range(items)], records, extras)
    users = [schema.user.parse(one) for one in draw_records("user", items, TUNING, OTHERS)]
    lineage = Lineage(
        run="recall_http",
        data=f"{items} made items",
        data_digest="none",
        exported_at=datetime.now(UTC),
        code="benchmarks/recall_http",
    )
    write_bundle(target, Parts(schema, towers, catalogue, users, lineage, {}, {}), index=index)


def kept_bundle(folder: Path, items: int, index: TunedKind = "hnsw") -> Path:
    """Return the bundle of so many items in a folder; it is made unless it is there."""
    named = f"recall-{items}" if index == "hnsw" else f"recall-{items}-{index}"
    bundle = folder / "bundles" / named
    if not bundle.exists():
        make_bundle(bundle, items, index)
    return bundle


class World:
    """A bundle that is made unless it is there, so many users, and items that are posted."""

    def __init__(self, folder: Path, items: int, users: int, posted: int) -> None:
        self.bundle = kept_bundle(folder, items)
        self._folder = folder
        self._items = items
        self._bundle, self._embedder = open_bundle(self.bundle)
        side = self._bundle.schema.user
        flat = {f"u{n}": one for n, one in enumerate(draw_records("user", items, users, USERS))}
        self._users = {one: parse_posted(side, told | {"id": one})[1] for one, told in flat.items()}
        drawn = draw_records("item", items, posted, POSTED)
        self.posted = [{"id": f"new-{n}", **one} for n, one in enumerate(drawn)]
        self._posted_ids = [one["id"] for one in self.posted]
        groups = [parse_posted(self._bundle.schema.item, one)[1] for one in self.posted]
        self._posted_vectors = self._embedder.embed("item", [_flat(one) for one in groups])
        self._vectors = self._embedder.embed("user", [_flat(one) for one in self._users.values()])

    def store(self, url: str) -> None:
        """Write all users into a Redis, as the service does."""
        with Redis.from_url(url) as redis, redis.pipeline(transaction=False) as line:
            for one, groups in self._users.items():
                line.set(Keys(KEY).user(one), write_json(UserRecord(one, *groups[:2])))
            line.execute()

    def given(self, url: str, answer_bytes: int) -> Given:
        """Return what the rivals and the bare parts are given; writes files that they need."""
        layout, settings = BundleLayout(self.bundle), self._bundle.manifest.index.settings
        index, ids = layout.index, self._folder / "ids.json"
        if not index.exists():  # the bundle is so small that it is searched exactly
            index = self._folder / "small.hnsw"
            HnswConfig().build(self._bundle.vectors).save(index)
        ids.write_text(json.dumps(list(self._bundle.ids)), encoding="utf-8")
        return Given(
            redis=url,
            key=f"{KEY}:user:",
            users=len(self._users),
            schema_file=layout.schema,
            tower=layout.tower("user"),
            index=index,
            ids=ids,
            dim=self._bundle.schema.dim,
            ef=settings.get("ef", HnswConfig().ef),
            answer_bytes=answer_bytes,
        )

    def queries(self, most: int) -> Vectors:
        """Return the vectors of so many stored users at most."""
        return self._vectors[:most]

    def near(self, drawn: int, among: int, seed: int) -> list[tuple[int, dict[str, object]]]:
        """Return stored users, by number, each with an item like one among its nearest so many.

        Of so many items that are drawn those, without an id, that are near to anyone.
        """
        flat = list(draw_records("item", self._items, drawn, seed))
        parsed = [
            _flat(parse_posted(self._bundle.schema.item, {"id": "x"} | one)[1]) for one in flat
        ]
        vectors, catalogue = self._embedder.embed("item", parsed), self._bundle.vectors
        found: list[tuple[int, dict[str, object]]] = []
        for start in range(0, len(self._vectors), USERS_AT_ONCE):
            users = self._vectors[start : start + USERS_AT_ONCE]
            at = min(among, len(catalogue)) - 1
            least = -np.partition(-(users @ catalogue.T), at)[:, at]
            for user, item in np.argwhere(users @ vectors.T >= least[:, None]).tolist():
                found.append((start + user, flat[item]))
        return found

    def facts(self) -> dict[str, object]:
        """Tell what was searched."""
        report = self._bundle.manifest.index
        return {
            "items": len(self._bundle.ids),
            "posted": len(self.posted),
            "users": len(self._users),
            "index": report.settings,
            "recall of the index": report.measured_recall,
        }

    def recall(self, answers: dict[str, list[str]], *, with_posted: bool) -> float:
        """Return the share of the truly nearest items that the answers, by user, hold."""
        ids, vectors = list(self._bundle.ids), self._bundle.vectors
        if with_posted:
            ids += self._posted_ids
            vectors = np.concatenate([vectors, self._posted_vectors])
        rows = [int(one.removeprefix("u")) for one in answers]
        scores = self._vectors[rows] @ vectors.T
        k = min(K, len(ids))
        nearest = np.argpartition(-scores, k - 1)[:, :k]
        pairs = zip(answers.values(), nearest, strict=True)
        return float(np.mean([len({ids[at] for at in row} & set(got)) / k for got, row in pairs]))


def _flat(groups: Groups) -> Record:
    return {**(groups.content or {}), **(groups.preference or {})}
