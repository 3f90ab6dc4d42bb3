"""Exact repeats among rows that are never all in memory: by digests of their cells."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.features.column import distinct

Digests = NDArray[np.uint64]


def digests(table: pa.Table) -> Digests:
    """Return 64 bits of each row, the same for rows that are equal in every column: [rows].

    Two rows that differ have the same ones once in 2 ** 64, and only in this process.
    """
    found = np.zeros(len(table), dtype=np.uint64)
    for column in table.columns:
        for bits in _bits(column):
            found = _mixed(found ^ bits)
    return found


def first_of_equals(
    user: NDArray[np.int32], item: NDArray[np.int32], digest: Digests
) -> NDArray[np.bool_] | None:
    """Say of each row whether no earlier row has the same of all three; None if no row has.

    Rows are sorted by one number made of all; those that share one with another are compared.
    """
    pair = user.astype(np.uint64) << np.uint64(32) | item.astype(np.uint64)
    key = _mixed(_mixed(pair) ^ digest)
    in_order = np.sort(key)
    met_twice = in_order[1:][in_order[1:] == in_order[:-1]]
    if not len(met_twice):
        return None
    doubtful = np.flatnonzero(np.isin(key, met_twice))
    doubtful = doubtful[np.lexsort((digest[doubtful], pair[doubtful]))]  # stable
    again = pair[doubtful[1:]] == pair[doubtful[:-1]]
    again &= digest[doubtful[1:]] == digest[doubtful[:-1]]
    is_first = np.ones(len(key), dtype=bool)
    is_first[doubtful[1:][again]] = False
    return is_first


def _bits(column: pa.ChunkedArray) -> list[Digests]:
    """Return 64 bits of each cell, those of numbers beside whether they are null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_nested(kind):
        return [_hashes([repr(cell) for cell in column.to_pylist()])]
    if pa.types.is_temporal(kind):
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif pa.types.is_floating(kind):
        column = column.cast(pa.float64())
    elif not pa.types.is_integer(kind):
        words, code = distinct(column)
        return [_hashes(words)[code]]
    numbers = pc.fill_null(column, pa.scalar(0).cast(column.type)).to_numpy()
    bits = numbers.view(np.uint64) if numbers.dtype.kind == "f" else numbers.astype(np.uint64)
    return [bits, column.is_null().to_numpy().astype(np.uint64)]


def _hashes(cells: list[Any]) -> Digests:
    return np.array([hash(cell) for cell in cells], dtype=np.int64).view(np.uint64)


def _mixed(bits: Digests) -> Digests:
    """Spread 64 bits over all 64, one to one: the finaliser of splitmix64."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
