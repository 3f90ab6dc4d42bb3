from dataclasses import replace

import numpy as np
import pyarrow as pa

from export.contract.concepts import ConceptTable
from export.contract.schema import Side
from export.index.exact import ExactConfig
from service.generation import Generation
from service.records import ItemRecord
from tests.service.made import made_bundle, made_generation, unit_vectors

POOL = unit_vectors(4, seed=3)


def put(one: str, rev: int, **content: object) -> ItemRecord:
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


def test_item_of_the_bundle_keeps_what_leaves_its_own_rows_out() -> None:
    generation = by_topic()
    for one, record in (("i1", {"kind": "k1"}), ("i3", {"kind": "k0", "kind_rate": 0.25})):
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
    looks = np.float32([[1, 2], [np.nan, np.nan], [3, 4], [5, 6]])
    bundle = replace(bundle, item_vectors={"looks": looks})
    generation = Generation(bundle, ExactConfig().build(bundle.vectors))
    generation.apply(put("i2", 1, length=9.0), POOL[0])
    generation.apply(put("x1", 2, length=3.0), POOL[0])
    generation.apply(delete("i3", 3), None)
    told = {one: generation.given_vector("looks", one) for one in ("i0", "i1", "i2", "i3", "x1")}
    assert told == {"i0": [1, 2], "i1": [], "i2": [3, 4], "i3": None, "x1": []}
    assert generation.given_vector("looks", "nobody") is None
