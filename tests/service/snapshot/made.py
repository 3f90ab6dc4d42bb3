"""Snapshots of made generations, without Redis."""

from pathlib import Path

import numpy as np

from export.embedder import Vectors
from service.generation import Generation
from service.records import ItemRecord
from service.snapshot import Snapshots
from service.store import LogId, Position
from tests.service.made import made_generation, unit_vectors

EPOCH = b"e" * 32
VERSION = "made-1"


def changed_generation(count: int = 9) -> Generation:
    """Make a generation with items posted, replaced, patched and removed."""
    generation = made_generation(unit_vectors(5, seed=1))
    vectors = unit_vectors(count, seed=2)
    for n in range(count):
        record = ItemRecord(f"é/{n}", n + 1, "put", {"topics": ["art"], "length": n / 3}, {})
        generation.apply(record, vectors[n])
    generation.apply(ItemRecord("é/0", count + 1, "delete"), None)
    generation.apply(ItemRecord("i1", count + 2, "delete"), None)
    generation.apply(ItemRecord("i2", count + 3, "put", {}, {"clicks": 2.0}, "7-0"), vectors[0])
    generation.position = Position(EPOCH, LogId(1000 + count, 0))
    return generation


def write_snapshot(snapshots: Snapshots, generation: Generation, slices: int = 3) -> Path:
    """Write a snapshot as the duty does, in one thread."""
    position = generation.position
    assert position is not None
    with snapshots.lock() as is_ours:
        assert is_ours
        new = snapshots.begin(generation.version, generation.schema.dim)
        try:
            ids = generation.changed()
            for start in range(0, len(ids), slices):
                rows = []
                for one in ids[start : start + slices]:
                    item = generation.change(one)
                    assert item is not None
                    rows.append((item, generation.vector(one)))
                new.writer.add(rows)
            new.writer.finish(generation.bundle, position)
            return new.keep()
        except BaseException:
            new.drop()
            raise


def vector_of(generation: Generation, one: str) -> Vectors | None:
    vector = generation.vector(one)
    return None if vector is None else np.asarray(vector)


def assert_same(one: Generation, other: Generation) -> None:
    """Check that two generations know and serve the same changes."""
    assert one.checksum == other.checksum
    assert one.changed() == other.changed()
    assert len(one) == len(other)
    for name in one.changed():
        assert one.change(name) == other.change(name)
        assert one.get(name) == other.get(name)
        np.testing.assert_array_equal(vector_of(one, name), vector_of(other, name))
