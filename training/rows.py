"""What encodes one side of the data: rows of the log as they were, entities as they are."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.features import MISSING_ROW, Raw
from export.contract.schema import Schema
from export.contract.side import Record, Side, SideName
from export.contract.statistics import Identity, Total
from training.data import Data
from training.encoder import CHUNK, Encoder
from training.mapped import GrowingColumns
from training.ragged import Ragged
from training.side_rows import Encoded, SideRows
from training.statistics import (
    Log,
    Part,
    Timelines,
    Values,
    as_of_end,
    by_concept,
    compute,
    in_parts,
    rule_for,
)
from training.statistics.sources import Sources


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
        self._known: dict[str, Encoded] = {}
        self.sources = Sources(data, schema.item)

    def rows(self, rows: NDArray[np.int64]) -> SideRows:
        """Encode rows of the log as they were when they happened, a part of the log at a time."""
        apart = {
            name: self.sources.numbers(statistic, self.log, self.name, rows)
            for name in self.side.concepts
            if (statistic := self.side.features[name].statistic) is not None
        }
        columns = GrowingColumns()
        entity, present = self.log.ids(self.name)[rows], np.zeros(len(rows), dtype=bool)
        place, done = np.empty(len(rows), dtype=np.int64), 0
        for part in in_parts(self.log, self.name, rows):
            moving, counts = self._moving(part, {name: v[part.at] for name, v in apart.items()})
            present[part.at] = self._present(entity[part.at], moving, counts)
            place[part.at] = np.arange(done, done + len(part.at))
            done += len(part.at)
            columns.append(moving)
        return SideRows(self.side, entity, self.static, columns.read(), place, present)

    def _moving(
        self, part: Part, apart: Mapping[str, Values]
    ) -> tuple[dict[str, Encoded], Values | None]:
        """Encode the rows of a part; `apart` are the statistics that ask for more of the log.

        Returns the interactions of each row, too, where `counter` is a feature.
        """
        moving: dict[str, Encoded] = {}
        counts: Values | None = None
        timelines = Timelines(part.log)
        whole = part.log.rows[part.rows]
        for name, feature in self.side.features.items():
            if feature.statistic is not None:
                values = apart[name] if name in apart else self._statistic(name, part, timelines)
                moving[name] = self._encode_statistic(name, values)
                counts = values if name == self.side.counter else counts
            elif name in self.carried:
                moving[name] = _take(
                    self._once(name, self._encoded_carried), self.carried[name].code[whole]
                )
            elif self.carried.keys() & set(feature.made_of):
                moving[name] = self._encode_made(name, whole)
        return moving, counts

    def _statistic(self, name: str, part: Part, timelines: Timelines) -> Values:
        statistic = self.side.features[name].statistic
        assert statistic is not None
        asked = self.sources.of(statistic, self.name)
        return compute(statistic, part.log, self.name, part.rows, timelines=timelines, **asked)

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
        present = self._present(everyone, moving, counts)
        return SideRows(self.side, everyone, self.static, moving, np.arange(len(everyone)), present)

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

    def _present(
        self, entity: NDArray[np.int32], moving: dict[str, Encoded], counts: Values | None
    ) -> NDArray[np.bool_]:
        """Say which rows have preference; `counts` are their interactions, if `counter` is one."""
        present = np.zeros(len(entity), dtype=bool)
        for name in self.side.preference.keys() & self.side.given.keys():
            if name in moving:
                present |= _is_known(moving[name], self.side, name)
            else:
                present |= _is_known(self.static[name], self.side, name)[entity]
        if counts is not None:
            present &= ~(np.asarray(counts) < self.side.least)  # as `Side.has_preference`
        return present

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
        encoded = self._once(name, self._encoded_names)
        if not isinstance(encoded, Ragged):  # a row holds one word or is missing
            row = np.zeros(len(values), dtype=np.int64)
            row[~values.missing] = values.values + np.int64(1)
            return encoded[row]
        rows = encoded.values[values.values]
        return Ragged(values.indptr, rows, values.weights, values.missing)

    def _encoded_names(self, name: str) -> Encoded:
        """Encode what the numbers in a statistic's rows stand for: none and each word, or bags."""
        words = self._names(name)
        if name in self.side.ids:
            return self._encode(name, [None, *words])
        if not words:
            return Ragged.of(np.zeros(0, np.int64), np.zeros(0, np.int32))
        weighted = f"{name}.weights" in self.side.encoded
        return self._encode(name, [{word: 1.0} if weighted else [word] for word in words])

    def _once(self, name: str, encoded: Callable[[str], Encoded]) -> Encoded:
        """Return what is encoded of a feature whichever rows are asked for."""
        if name not in self._known:
            self._known[name] = encoded(name)
        return self._known[name]

    def _encoded_carried(self, name: str) -> Encoded:
        return self._encode(name, self.carried[name].values)

    def _as_of_end(self, name: str) -> list[Raw]:
        """Return a given feature of every entity as of the end of training."""
        if name in self.carried and name in self.side.preference:
            return self._last_carried(name)
        return [record.get(name) for record in self.records]

    def _encode_made(self, name: str, rows: NDArray[np.int64]) -> Encoded:
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

    def _encode(self, name: str, values: Sequence[Raw]) -> Encoded:
        """Encode values of one feature (at least one)."""
        return self._encode_records(name, [{name: value} for value in values])

    def _encode_records(self, name: str, records: Sequence[Record]) -> Encoded:
        """Encode one feature of records (at least one) that hold what it is made of."""
        return self._encoder_of(name).columns(records)[name]

    def _encoder_of(self, name: str) -> Encoder:
        if name not in self._alone:
            self._alone[name] = Encoder.of_feature(self.schema, self.name, name)
        return self._alone[name]


def _take(column: Encoded, at: NDArray[Any]) -> Encoded:
    return column.take(at) if isinstance(column, Ragged) else column[at]


def _is_known(values: Encoded, side: Side, name: str) -> NDArray[np.bool_]:
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
