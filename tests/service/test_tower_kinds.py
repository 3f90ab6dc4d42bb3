"""Every tower with every feature kind on either side: over HTTP it answers what torch says.

Weights are random. One bundle a tower holds all kinds on both sides; a request gives the values of
one kind, beside a number by which nobody is unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import redis

from export.catalogue import Parts, write_bundle
from export.contract.bundle import BundleLayout, Lineage
from export.contract.features import KINDS
from export.contract.side import SIDES, SideName
from export.contract.similarity import Similarity
from export.contract.tables import RecordTable
from export.tower_file import TowerFile
from service.generation import Generation
from tests.export.kind_rows import COLOUR, Row, rows_of, schema_of
from tests.export.random_towers import TOLERANCE, TOWERS, Towers, folder_of, read
from tests.once import once
from tests.service.running import Service, patient

KIND_NAMES = [kind.model_fields["kind"].default for kind in KINDS]
KNOWN = {"category-learned-content": "blue"}
COSINE: Similarity = "cosine"
ITEMS = 30
IDS = [f"i{n}" for n in range(ITEMS)]


@dataclass(frozen=True)
class Served:
    """A tower's bundle being served, and the model that it was made of."""

    towers: Towers
    service: Service

    def is_warm(self, side: SideName, given: dict[str, Any]) -> bool:
        own = self.towers.schema.side(side)
        return own.has_preference(own.parse(given))

    def vectors(self, side: SideName, given: list[dict[str, Any]]) -> np.ndarray:
        """Return what torch gives for flat records, each seen with the preference that it has."""
        parse = self.towers.schema.side(side).parse
        alone = [self.towers.by_torch(side, [parse(one)], self.is_warm(side, one)) for one in given]
        return np.concatenate(alone)

    def state(self, side: SideName, given: dict[str, Any]) -> str:
        return "warm" if self.is_warm(side, given) else "cold"

    def ask(self, path: str, **body: object) -> list[dict[str, Any]]:
        answer = self.service.post(path, body)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def scores(self, users: list[dict[str, Any]]) -> list[dict[str, float]]:
        """Return the score of every item for each of some users; the states are right."""
        context = self.towers.schema.user.context
        asked = [
            {
                "user": {name: value for name, value in one.items() if name not in context},
                "context": {name: value for name, value in one.items() if name in context},
                "k": 1000,
            }
            for one in users
        ]
        found = self.ask("/recall/batch", requests=asked)
        assert [one["state"] for one in found] == [self.state("user", one) for one in users]
        return [dict(zip(one["items"], one["scores"], strict=True)) for one in found]


def rows_of_kind(kind: str) -> dict[str, Row]:
    """Return the rows of a kind, by the names of features; kinds take turns among groups."""
    group = ("content", "preference")[KIND_NAMES.index(kind) % 2]
    rows = rows_of(group, COSINE)
    return {name: row for name, row in rows.items() if name.startswith(f"{kind}-")}


def records_of_kind(side: SideName, kind: str) -> list[dict[str, Any]]:
    """Return flat records that give the values of a kind's features, or of what they are of."""
    own = COLOUR["context"] if side == "user" else None
    return [
        KNOWN | ({own: "red"} if own else {}) | one
        for name, row in rows_of_kind(kind).items()
        for one in row.given or [{name: value} for value in row.values]
    ]


def catalogue() -> list[dict[str, Any]]:
    """Return the items of the bundle: every so many of all records."""
    every = [one for kind in KIND_NAMES for one in records_of_kind("item", kind)]
    return every[:: len(every) // ITEMS][:ITEMS]


def write(root: Path, model: Path) -> None:
    """Write `root/made-1`, the bundle of a model."""
    root.mkdir()
    schema = schema_of(COSINE)
    files = BundleLayout(model)
    share = pa.array(np.full(ITEMS, 1 / ITEMS))
    extras = pa.table({"popularity": share, "first_seen": pa.array(np.full(ITEMS, 1.65e9))})
    looks = np.random.default_rng(2).standard_normal((ITEMS, 3)).astype(np.float32)
    parts = Parts(
        schema=schema,
        towers={side: TowerFile(onnx.load(files.tower(side))) for side in SIDES},
        items=RecordTable(IDS, [schema.item.parse(one) for one in catalogue()], extras),
        users=[],
        lineage=Lineage(
            run="random",
            data="none",
            data_digest="none",
            exported_at=datetime.now(UTC),
            code="tests",
        ),
        parity={},
        metrics={},
        item_vectors=dict.fromkeys(schema.user.item_vectors, looks),
    )
    write_bundle(root / "made-1", parts)


@pytest.fixture(scope="module", params=TOWERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: str
) -> Iterator[Served]:
    tower = request.param
    model = folder_of(tmp_path_factory, tower, COSINE)
    root = once(tmp_path_factory, f"served-{tower}", partial(write, model=model))
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    generation = Generation.load(root / "made-1")
    with Service(patient(redis_server), generation) as service:
        yield Served(read(model, tower, schema_of(COSINE)), service)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_recall_scores_items_as_torch_does(served: Served, kind: str) -> None:
    users = records_of_kind("user", kind)
    items = served.vectors("item", catalogue())
    expected = served.vectors("user", users) @ items.T
    for one, found in zip(expected, served.scores(users), strict=True):
        got = np.array([found[name] for name in IDS])
        assert np.abs(got - one).max() <= TOLERANCE
    assert np.ptp(expected, axis=0).max() > 1e-3  # the values have reached the answers


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_posted_item_has_the_vector_that_torch_gives_and_is_found_by_it(
    served: Served, kind: str
) -> None:
    items = records_of_kind("item", kind)
    expected = served.vectors("item", items)
    names = [f"{kind}-{n}" for n in range(len(items))]
    posted = served.ask(
        "/items", items=[{"id": one, **item} for one, item in zip(names, items, strict=True)]
    )
    assert [one["state"] for one in posted] == [served.state("item", one) for one in items]
    got = np.array([one["vector"] for one in posted], dtype=np.float32)
    assert np.abs(got - expected).max() <= TOLERANCE
    assert np.ptp(expected, axis=0).max() > 1e-3
    (found,) = served.scores([KNOWN])
    scores = expected @ served.vectors("user", [KNOWN])[0]
    assert np.abs(np.array([found[one] for one in names]) - scores).max() <= TOLERANCE


def test_every_kind_has_values_on_either_side() -> None:
    assert all(records_of_kind(side, kind) for side in SIDES for kind in KIND_NAMES)
