from service.records import ItemRecord
from tests.service.made import made_generation, unit_vectors

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


def test_words_are_those_of_the_served_record() -> None:
    generation = made_generation(unit_vectors(4, seed=1))
    generation.apply(put("i1", 1, topics=["food"]), POOL[0])
    generation.apply(put("x1", 2, length=3.0), POOL[0])
    assert list(generation.words("topics", "i2") or ()) == ["art", "t2"]
    assert list(generation.words("topics", "i1") or ()) == ["food"]
    assert list(generation.words("topics", "x1") or ["?"]) == ["?"]
    assert generation.words("topics", "x1") is not None
    assert generation.words("topics", "nobody") is None
