"""Encoded features of many rows of one side, from which batches are cut."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.features import MISSING_ROW, PADDING_ROW, Raw, SequenceFeature
from export.contract.schema import Schema
from export.contract.side import Arrays, Record, Side, SideName
from export.contract.statistics import Identity, Total
from training.data import Data
from training.encoder import CHUNK, Encoder
from training.ragged import Ragged
from training.statistics import Log, Timelines, Values, as_of_end, by_concept, compute, rule_for
from training.statistics.sources import Sources

Encoded = NDArray[Any] | Ragged  # one column: rows or values [n], vectors [n, size], or bags


@dataclass(frozen=True, eq=False)
class SideRows:
    """Rows of one side: what belongs to the entity is held once, what moves is held by row.

    `entity` [rows] points into `static`, whose columns [entities] hold every feature of the side;
    `moving` replaces features by columns [rows] of the row itself.
    """

    side: Side
    entity: NDArray[np.int32]
    static: dict[str, Encoded]
    moving: dict[str, Encoded]
    present: NDArray[np.bool_]  # [rows]

    def __len__(self) -> int:
        return len(self.entity)

    def batch(self, rows: NDArray[Any]) -> Arrays:
        """Return the arrays `Side.encoded` names for some rows."""
        entity = self.entity[rows]
        arrays: Arrays = {}
        for form, names in (("ids", self.side.ids), ("values", self.side.values)):
            columns = [self._column(name, rows, entity) for name in names]
            if columns:
                arrays[form] = np.stack([column[at] for column, at in columns], axis=1)
        for name in self.side.vectors:
            column, at = self._column(name, rows, entity)
            arrays[name] = column[at]
        for name in self.side.bags:
            arrays |= _padded(name, self.side, *self._column(name, rows, entity))
        if self.side.preference:
            arrays["present"] = self.present[rows, None]
        return {name: arrays[name] for name in self.side.encoded}

    def _column(
        self, name: str, rows: NDArray[Any], entity: NDArray[Any]
    ) -> tuple[Any, NDArray[Any]]:
        """Return the column that holds a feature, and the places in it of some rows."""
        return (self.moving[name], rows) if name in self.moving else (self.static[name], entity)


def _padded(name: str, side: Side, bag: Ragged, at: NDArray[Any]) -> Arrays:
    """Return one bag's rows [batch, length >= 1] and weights; missing has the missing row."""
    feature = side.features[name]
    longest = int(bag.lengths_of(at).max(initial=0))
    width = min(max(1, longest), getattr(feature, "max_length", longest))
    newest = isinstance(feature, SequenceFeature)
    padded = bag.rows(at, width, keep="last" if newest else "first", fill=PADDING_ROW)
    rows = padded.ids
    missing = bag.missing[at]
    rows[missing, 0] = MISSING_ROW
    arrays: Arrays = {name: rows}
    if f"{name}.weights" in side.encoded:
        weights = padded.mask.astype(np.float32) if padded.weights is None else padded.weights
        weights[missing, 0] = 1.0
        arrays[f"{name}.weights"] = weights
    return arrays


class RowEncoder:
    """Encodes one side of the data: rows of the log, or entities as of the end of training."""

    def __init__(self, schema: Schema, side_name: SideName, data: Data, log: Log) -> None:
        self.schema, self.name, self.data, self.log = schema, side_name, data, log
        self.side = schema.side(side_name)
        self.encoder = Encoder(schema, side_name)
        self.records = (data.users if side_name == "user" else data.items).records
        self.carried = data.interactions.carried[side_name]
        self.static = self.encoder.columns(self.records)
        self._alone: dict[str, Encoder] = {}
        self.sources = Sources(data, schema.item)

    def rows(self, rows: NDArray[np.int64]) -> SideRows:
        """Encode rows of the log as they were when they happened."""
        moving: dict[str, Encoded] = {}
        counts: Values | None = None
        timelines = Timelines(self.log)
        for name, feature in self.side.features.items():
            if feature.statistic is not None:
                asked = self.sources.of(feature.statistic, self.name)
                values = compute(
                    feature.statistic, self.log, self.name, rows, timelines=timelines, **asked
                )
                moving[name] = self._encode_statistic(name, values)
                counts = values if name == self.side.counter else counts
            elif name in self.carried:
                carried = self.carried[name]
                moving[name] = _take(self._encode(name, carried.values), carried.code[rows])
            elif self.carried.keys() & set(feature.made_of):
                moving[name] = self._encode_made(name, rows)
        return self._side_rows(self.log.ids(self.name)[rows], moving, counts)

    def entities(self) -> SideRows:
        """Encode every entity as of the end of training, without context."""
        moving: dict[str, Encoded] = {}
        for name, feature in self.side.stored.items():
            if feature.statistic is not None:
                moving[name] = self._encode_statistic(name, self._at_end(name))
            elif name in self.carried:
                moving[name] = self._encode(name, self._last_carried(name))
            elif self.carried.keys() & set(feature.made_of):
                sources = feature.made_of
                columns = [self._as_of_end(source) for source in sources]
                records = [
                    dict(zip(sources, one, strict=True)) for one in zip(*columns, strict=True)
                ]
                moving[name] = self._encode_records(name, records)
        everyone = np.arange(len(self.records), dtype=np.int32)
        counts = None if self.side.counter is None else self._at_end(self.side.counter)
        return self._side_rows(everyone, moving, counts)

    def raw_statistic(self, name: str) -> list[Raw]:
        """Return one declared statistic of every entity at the end of training, as raw values."""
        values = self._at_end(name)
        if not isinstance(values, Ragged):
            known = np.asarray(~np.isnan(values.reshape(len(values), -1)).any(axis=1))
            told = values.tolist() if values.ndim == 1 else (array("f", row) for row in values)
            return [one if is_known else None for one, is_known in zip(told, known, strict=True)]
        names = self._names(name)
        raw = _raw_id if name in self.side.ids else _raw_bag
        return [raw(values, row, names) for row in range(len(values))]

    def concept_values(self) -> dict[str, dict[str, float]]:
        """Return each statistic with `by`: word of the concept -> its value for a new entity."""
        found: dict[str, dict[str, float]] = {}
        for name, by in self.side.concepts.items():
            statistic = self.side.features[name].statistic
            assert isinstance(statistic, Total)
            concepts = self.sources.concepts(self.name, by)
            values = by_concept(statistic, self.log, self.name, concepts)
            known = np.flatnonzero(~np.isnan(values))
            found[name] = {concepts.words[at]: float(values[at]) for at in known.tolist()}
        return found

    def raw_records(self) -> list[dict[str, Raw]]:
        """Return every entity's record with its statistics as of the end of training."""
        records = [dict(record) for record in self.records]
        for name, feature in self.side.stored.items():
            if feature.statistic is not None:
                values = self.raw_statistic(name)
            elif name in self.carried:
                values = self._last_carried(name)
            else:
                continue
            for record, value in zip(records, values, strict=True):
                record.pop(name, None)
                if value is not None:
                    record[name] = value
        return records

    def _side_rows(
        self, entity: NDArray[np.int32], moving: dict[str, Encoded], counts: Values | None
    ) -> SideRows:
        """Join the columns; `counts` are the interactions of each row, where `counter` is one."""
        present = np.zeros(len(entity), dtype=bool)
        for name in self.side.preference.keys() & self.side.given.keys():
            if name in moving:
                present |= _known(moving[name], self.side, name)
            else:
                present |= _known(self.static[name], self.side, name)[entity]
        if counts is not None:
            present &= ~(np.asarray(counts) < self.side.least)  # as `Side.has_preference`
        return SideRows(self.side, entity, self.static, moving, present)

    def _at_end(self, name: str) -> Values:
        statistic = self.side.features[name].statistic
        assert statistic is not None
        everyone = np.arange(len(self.records), dtype=np.int32)
        asked = self.sources.of(statistic, self.name)
        return as_of_end(statistic, self.log, self.name, everyone, **asked)

    def _last_carried(self, name: str) -> list[Raw]:
        """Return, for every entity, what its last train row carried; without one, its record's."""
        rows = np.flatnonzero(self.log.is_train)
        clock = rule_for(self.log, self.name).clock
        if clock is not None:
            rows = rows[np.argsort(self.log.moments(clock)[rows], kind="stable")]
        last = np.full(len(self.records), -1)
        last[self.log.ids(self.name)[rows]] = rows  # of equal places, the last is kept
        values: list[Raw] = [record.get(name) for record in self.records]
        met = np.flatnonzero(last >= 0)
        for entity, value in zip(met, self.carried[name].at(last[met]), strict=True):
            values[entity] = value
        return values

    def _names(self, name: str) -> Sequence[str]:
        """Return what the numbers in a statistic's rows stand for: words, or ids of one side."""
        statistic = self.side.features[name].statistic
        if statistic is not None and statistic.words_of is not None:
            return self.sources.words(statistic.words_of).words
        of_items = isinstance(statistic, Identity) == (self.name == "item")
        return (self.data.items if of_items else self.data.users).ids

    def _encode_statistic(self, name: str, values: Values) -> Encoded:
        if name in self.side.vectors:
            assert not isinstance(values, Ragged)
            parts = np.split(values, range(CHUNK, len(values), CHUNK))
            return np.concatenate([self._encoder_of(name).run({name: p})[name] for p in parts])
        if not isinstance(values, Ragged):
            known = ~np.isnan(values)
            distinct, place = np.unique(values[known], return_inverse=True)
            row = np.zeros(len(values), dtype=np.int64)
            row[known] = place + 1
            return _take(self._encode(name, [None, *distinct.tolist()]), row)
        names = self._names(name)
        used = np.flatnonzero(np.bincount(values.values, minlength=len(names)))
        place = np.zeros(len(names), dtype=np.int64)  # of a word among those used
        place[used] = np.arange(len(used))
        words = [names[word] for word in used.tolist()]
        if name in self.side.ids:  # a row holds one word or is missing
            row = np.zeros(len(values), dtype=np.int64)
            row[~values.missing] = place[values.values] + 1
            return _take(self._encode(name, [None, *words]), row)
        weighted = f"{name}.weights" in self.side.encoded
        bags: list[Raw] = [{word: 1.0} if weighted else [word] for word in words]
        rows = self._encode(name, bags).values if bags else np.zeros(0, dtype=np.int32)
        return Ragged(values.indptr, rows[place[values.values]], values.weights, values.missing)

    def _as_of_end(self, name: str) -> list[Raw]:
        """Return a given feature of every entity as of the end of training."""
        if name in self.carried and name in self.side.preference:
            return self._last_carried(name)
        return [record.get(name) for record in self.records]

    def _encode_made(self, name: str, rows: NDArray[np.int64]) -> Any:
        """Encode what is made of others for rows of the log, each distinct combination once."""
        sources = self.side.features[name].made_of
        entity = self.log.ids(self.name)[rows]
        values, codes = [], []
        for source in sources:
            carried = self.carried.get(source)
            values.append(carried.values if carried else [r.get(source) for r in self.records])
            codes.append(carried.code[rows] if carried else entity)
        distinct, place = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
        records = [
            {s: column[code] for s, column, code in zip(sources, values, row, strict=True)}
            for row in distinct.tolist()
        ]
        return _take(self._encode_records(name, records or [{}]), place.ravel())

    def _encode(self, name: str, values: Sequence[Raw]) -> Any:
        """Encode values of one feature (at least one)."""
        return self._encode_records(name, [{name: value} for value in values])

    def _encode_records(self, name: str, records: Sequence[Record]) -> Any:
        """Encode one feature of records (at least one) that hold what it is made of."""
        return self._encoder_of(name).columns(records)[name]

    def _encoder_of(self, name: str) -> Encoder:
        if name not in self._alone:
            self._alone[name] = Encoder.of_feature(self.schema, self.name, name)
        return self._alone[name]


def _take(column: Encoded, at: NDArray[Any]) -> Encoded:
    return column.take(at) if isinstance(column, Ragged) else column[at]


def _known(values: Encoded, side: Side, name: str) -> NDArray[np.bool_]:
    if isinstance(values, Ragged):
        return ~values.missing
    unknown = np.equal(values, MISSING_ROW) if name in side.ids else np.isnan(values)
    return np.asarray(~unknown.reshape(len(unknown), -1).any(axis=1))


def _raw_id(values: Ragged, row: int, names: Sequence[str]) -> Raw:
    return None if values.missing[row] else names[values.values[values.indptr[row]]]


def _raw_bag(values: Ragged, row: int, names: Sequence[str]) -> Raw:
    if values.missing[row]:
        return None
    span = slice(values.indptr[row], values.indptr[row + 1])
    words = [names[word] for word in values.values[span]]
    if values.weights is None:
        return words
    return dict(zip(words, map(float, values.weights[span]), strict=True))
