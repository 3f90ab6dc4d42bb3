"""What was written of items, over a bundle; each rule once by itself and once over replicas."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from export.contract.concepts import ConceptTable
from export.contract.features import Raw
from export.contract.side import Record, Side
from export.embedder import Vectors
from export.index.exact import ExactConfig
from service.catalogue.change import read_patch
from service.catalogue.overlay import Overlay
from service.catalogue.table import Catalogue
from service.embed import Embed
from service.generation import Generation
from service.records import ItemRecord
from service.store import LogId
from tests.service.made import made_bundle, made_generation, unit_vectors
from tests.service.running import Service, patient
from tests.tiny import tiny_bundle

POOL = unit_vectors(4, seed=3)


def put(one: str, rev: int, **content: Raw) -> ItemRecord:
    return ItemRecord(one, rev, "put", content)


def delete(one: str, rev: int) -> ItemRecord:
    return ItemRecord(one, rev, "delete")


def test_what_is_written_lies_over_the_bundle_group_by_group() -> None:
    generation = made_generation(unit_vectors(4, seed=1))
    known = generation.get("i2")
    assert known is not None
    assert known.record == {"topics": ["art", "t2"], "length": 2.0, "clicks": 2.0}
    generation.apply(ItemRecord("i2", 1, "put", {"length": 9.0}, None), POOL[0])
    posted = generation.get("i2")
    assert posted is not None
    assert posted.record == {"length": 9.0, "clicks": 2.0}
    generation.apply(ItemRecord("i2", 2, "put", {}, {}, "5-0"), POOL[0])
    forgotten = generation.get("i2")
    assert forgotten is not None
    assert forgotten.record == {}


def overlay(as_of: str | None) -> Overlay:
    bundle = made_bundle(unit_vectors(4, seed=1))
    place = None if as_of is None else LogId.parse(as_of)
    return Overlay(Catalogue(bundle), bundle.schema.item, place)


def served(of: Overlay, item: ItemRecord) -> dict[str, object]:
    of.write(item)
    record = of.get(item.id)
    assert record is not None
    return dict(record.record)


BUNDLE = {"topics": ["art", "t2"], "length": 2.0, "clicks": 2.0}


def test_content_that_was_posted_wins_over_a_bundle_trained_later() -> None:
    item = ItemRecord("i2", 1, "put", {"length": 9.0}, None)
    assert served(overlay("9-0"), item) == {"length": 9.0, "clicks": 2.0}


@pytest.mark.parametrize(
    ("written_at", "trained_up_to", "clicks"),
    [
        ("5-0", None, 7.0),  # a bundle that does not say is older than every write
        ("5-1", "5-0", 7.0),
        ("10-0", "9-0", 7.0),  # by number, not by letter
        ("5-0", "5-0", 2.0),  # the bundle has read that write
        ("5-0", "5-1", 2.0),
        ("nonsense", "5-1", 2.0),
        (None, "5-1", 7.0),  # about to be written
    ],
)
def test_of_preference_the_later_one_wins(
    written_at: str | None, trained_up_to: str | None, clicks: float
) -> None:
    item = ItemRecord("i2", 1, "put", None, {"clicks": 7.0}, written_at)
    assert served(overlay(trained_up_to), item) == BUNDLE | {"clicks": clicks}


def test_preference_that_was_forgotten_is_so_until_a_later_bundle() -> None:
    item = ItemRecord("i2", 1, "put", None, {}, "5-0")
    content = {name: BUNDLE[name] for name in ("topics", "length")}
    assert served(overlay("4-0"), item) == content
    assert served(overlay("6-0"), item) == BUNDLE


def test_what_no_bundle_knows_is_as_it_was_written_however_late_the_bundle() -> None:
    item = ItemRecord("x", 1, "put", {"length": 9.0}, {"clicks": 7.0}, "5-0")
    assert served(overlay("6-0"), item) == {"length": 9.0, "clicks": 7.0}


def test_a_removal_wins_over_a_bundle_trained_later() -> None:
    later = overlay("9-0")
    later.write(delete("i2", 3))
    assert later.get("i2") is None
    assert "i2" not in [one for one, _ in later.by_popularity()]


def test_a_tombstone_beats_the_bundle_until_the_item_is_posted_again() -> None:
    generation = made_generation(unit_vectors(4, seed=1))
    generation.apply(delete("i2", 3), None)
    assert generation.get("i2") is None
    assert generation.vector("i2") is None
    assert generation.words("topics", "i2") is None
    assert "i2" not in generation
    generation.apply(put("i2", 4), POOL[0])
    assert generation.get("i2") is not None
    assert generation.vector("i2") is not None


def by_topic() -> Generation:
    """Return four items with `kind`, and `kind_rate` by it: k1's i1 is missing, i3's is .25."""
    bundle = made_bundle(unit_vectors(4, seed=1))
    rate = {"kind": "number", "aggregate": "rate", "by": "kind", "mean": 0.0, "scale": 1.0}
    content = {"kind": {"kind": "category"}, "kind_rate": rate}
    item = Side.model_validate({"content": content, "preference": bundle.schema.item.preference})
    schema = bundle.schema.model_copy(update={"item": item})
    records = pa.table(
        {"kind": ["k0", "k1", None, "k0"], "kind_rate": pa.array([0.5, None, None, 0.25])}
    )
    concepts = ConceptTable(schema, {("item", "kind_rate"): {"k0": 0.75, "k1": 0.125}})
    bundle = replace(bundle, schema=schema, records=records, concepts=concepts)
    return Generation(bundle, ExactConfig().build(bundle.vectors))


def test_posted_item_is_told_what_its_concept_knows() -> None:
    generation = by_topic()
    fresh = generation.served(put("x1", 1, kind="k1"))
    assert fresh.content == {"kind": "k1", "kind_rate": 0.125}
    assert fresh.preference is None
    assert generation.served(put("x1", 1, kind="k9")).content == {"kind": "k9"}
    assert generation.served(put("x1", 1, kind="k1", kind_rate=0.5)).content == {
        "kind": "k1",
        "kind_rate": 0.5,
    }
    generation.apply(put("x1", 1, kind="k1"), POOL[0])
    served = generation.get("x1")
    assert served is not None
    assert served.record == {"kind": "k1", "kind_rate": 0.125}


def test_a_patch_merges_into_what_was_written_and_not_into_what_concepts_tell() -> None:
    generation = by_topic()
    for one, kind in (("i3", "k1"), ("x1", "k0")):
        generation.apply(put("x1", 1, kind="k1"), POOL[0])
        change = read_patch(generation.schema.item, one, {"kind": kind})
        changed = change.applied(generation.base(one), generation.written(one))
        told = generation.served(changed).content
        assert told == {"kind": kind, "kind_rate": {"k0": 0.75, "k1": 0.125}[kind]}
        given = read_patch(generation.schema.item, one, {"kind_rate": 0.5})
        kept = given.applied(generation.base(one), generation.written(one))
        assert (kept.content or {})["kind_rate"] == 0.5


def test_preference_of_an_item_that_no_bundle_knows_stays_beside_concepts() -> None:
    generation = by_topic()
    bundle = generation.bundle
    later = Overlay(generation.catalogue, bundle.schema.item, LogId.parse("6-0"), bundle.concepts)
    item = ItemRecord("x", 1, "put", {"kind": "k1"}, {"clicks": 7.0}, "5-0")
    assert served(later, item) == {"kind": "k1", "kind_rate": 0.125, "clicks": 7.0}


def test_an_embedded_record_is_told_what_its_concept_knows() -> None:
    generation = by_topic()
    embed = Embed(generation, Records(), 9)  # type: ignore[arg-type]
    asyncio.run(embed.embed("item", [{"kind": "k1"}]))
    assert Records.asked == [{"kind": "k1", "kind_rate": 0.125}]


class Records:
    """Towers that note what they are asked."""

    asked: ClassVar[list[Record]] = []

    def embed(self, side: str, records: list[Record], present: object) -> Vectors:
        self.asked.extend(records)
        return POOL[: len(records)]


def test_item_of_the_bundle_keeps_what_leaves_its_own_rows_out() -> None:
    generation = by_topic()
    records: dict[str, Record] = {"i1": {"kind": "k1"}, "i3": {"kind": "k0", "kind_rate": 0.25}}
    for one, record in records.items():
        known = generation.get(one)
        assert known is not None
        assert known.record == record
        posted = generation.served(ItemRecord(one, 1, "put", {"kind": record["kind"]}, {}))
        assert posted.record == record
    moved = generation.served(put("i1", 1, kind="k0"))
    assert moved.record == {"kind": "k0", "kind_rate": 0.75}


def test_words_are_those_of_the_served_record() -> None:
    generation = made_generation(unit_vectors(4, seed=1))
    generation.apply(put("i1", 1, topics=["food"]), POOL[0])
    generation.apply(put("x1", 2, length=3.0), POOL[0])
    assert list(generation.words("topics", "i2") or ()) == ["art", "t2"]
    assert list(generation.words("topics", "i1") or ()) == ["food"]
    assert list(generation.words("topics", "x1") or ["?"]) == ["?"]
    assert generation.words("topics", "x1") is not None
    assert generation.words("topics", "nobody") is None


def test_given_vector_stays_with_the_id_and_a_new_item_has_none() -> None:
    bundle = made_bundle(unit_vectors(4, seed=1))
    looks = np.array([[1, 2], [np.nan, np.nan], [3, 4], [5, 6]], np.float32)
    bundle = replace(bundle, item_vectors={"looks": looks})
    generation = Generation(bundle, ExactConfig().build(bundle.vectors))
    generation.apply(put("i2", 1, length=9.0), POOL[0])
    generation.apply(put("x1", 2, length=3.0), POOL[0])
    generation.apply(delete("i3", 3), None)
    told = {one: generation.given_vector("looks", one) for one in ("i0", "i1", "i2", "i3", "x1")}
    assert told == {"i0": [1, 2], "i1": [], "i2": [3, 4], "i3": None, "x1": []}
    assert generation.given_vector("looks", "nobody") is None


TRAINED = {"topics": ["food"], "length": 12.0, "clicks": 2.0}
"""What every bundle says of i2."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose data ends before everything that is written, one after it, one untold."""
    folder = tmp_path_factory.mktemp("bundles")
    tiny_bundle(folder, "untold")
    tiny_bundle(folder, "before", log_id="1-0")
    tiny_bundle(folder, "after", log_id="99999999999999-0")
    return folder


WRITES: list[tuple[str, dict[str, object] | None, dict[str, object], dict[str, object]]] = [
    # what is written of i2, what is served by a bundle trained before it, and by a later one
    ("POST", {"length": 1}, {"length": 1.0, "clicks": 2.0}, {"length": 1.0, "clicks": 2.0}),
    ("POST", {"clicks": 9}, {"clicks": 9.0}, {"clicks": 2.0}),
    ("POST", {"preference": None}, {}, {"clicks": 2.0}),
    ("PATCH", {"length": 1}, TRAINED | {"length": 1.0}, TRAINED | {"length": 1.0}),
    ("PATCH", {"clicks": 9}, TRAINED | {"clicks": 9.0}, TRAINED),
    ("PATCH", {"preference": None}, {"topics": ["food"], "length": 12.0}, TRAINED),
    ("PATCH", {}, TRAINED, TRAINED),
]


@pytest.mark.parametrize(("method", "body", "earlier", "later"), WRITES)
def test_what_is_written_and_then_trained_is_served_group_by_group(
    redis_url: str,
    bundles: Path,
    method: str,
    body: dict[str, object],
    earlier: dict[str, object],
    later: dict[str, object],
) -> None:
    with Service(patient(redis_url), Generation.load(bundles / "untold")) as service:
        path, record = ("/items", body | {"id": "i2"}) if method == "POST" else ("/items/i2", body)
        assert service.ask(method, path, json=record).status_code == 200
        assert service.get("/items/i2").json()["record"] == {"id": "i2", **earlier}
    for version, expected in (("untold", earlier), ("before", earlier), ("after", later)):
        with Service(patient(redis_url), Generation.load(bundles / version)) as service:
            item = service.get("/items/i2").json()
            assert item["record"] == {"id": "i2", **expected}, version
            [made] = service.post("/embed", {"items": [item["record"]]}).json()["items"]
            assert made["vector"] == pytest.approx(item["vector"], abs=1e-6)
            assert (made["state"], made["dropped"]) == (item["state"], item["dropped"])


@pytest.mark.parametrize("version", ["untold", "before", "after"])
def test_what_is_removed_and_then_trained_stays_removed_until_it_is_posted(
    redis_url: str, bundles: Path, version: str
) -> None:
    with Service(patient(redis_url), Generation.load(bundles / "untold")) as service:
        service.ask("DELETE", "/items/i2")
    with Service(patient(redis_url), Generation.load(bundles / version)) as service:
        assert service.get("/items/i2").status_code == 404
        everything = service.post("/recall", {"user": {"taste": {"food": 1}}, "k": 50}).json()
        assert len(everything["items"]) == 39
        assert "i2" not in everything["items"]
        assert service.post("/items", {"id": "i2"}).status_code == 201
        assert service.get("/items/i2").json()["record"] == {"id": "i2", "clicks": 2.0}


def test_what_no_bundle_knew_is_served_by_every_later_one(redis_url: str, bundles: Path) -> None:
    record = {"id": "x", "topics": ["food"], "clicks": 3.0}
    with Service(patient(redis_url), Generation.load(bundles / "untold")) as service:
        service.post("/items", record)
    with Service(patient(redis_url), Generation.load(bundles / "after")) as service:
        assert service.get("/items/x").json()["record"] == record
