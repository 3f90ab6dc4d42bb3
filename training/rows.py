"""What encodes one side of the data: rows of the log as they were, entities as they are."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.contract.features import Raw
from export.contract.schema import Schema
from export.contract.side import Record, SideName
from export.contract.statistics import Identity, Total
from training.data import Data
from training.encoder import CHUNK, Encoder
from training.in_threads import in_threads
from training.mapped import Growing, GrowingColumns, mapped
from training.ragged import Positions, Ragged
from training.side_rows import Encoded, SideRows, is_known, taken
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
from training.statistics.numbers import Numbers
from training.statistics.sources import Sources

CHUNK_OF_NUMBERS = 1 << 18


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
        self._lock = RLock()  # of both: parts of a log are encoded by several threads
        self.sources = Sources(data, schema.item)

    def rows(self, rows: NDArray[np.int64]) -> SideRows:
        """Encode rows of the log as they were when they happened, a part of the log at a time."""
        apart: dict[str, Numbers] = {
            name: self.sources.numbers(statistic, self.log, self.name, rows)
            for name in self.side.concepts
            if (statistic := self.side.features[name].statistic) is not None
        }
        columns, numbers = GrowingColumns(), GrowingColumns()
        entity, present = mapped(self.log.ids(self.name)[rows]), np.zeros(len(rows), dtype=bool)
        order = Growing()
        parts = in_parts(self.log, self.name, rows)
        for at, moving, told in in_threads(partial(self._part, apart), parts):
            present[at] = self._present(entity[at], moving, told)
            order.append(at)
            columns.append(moving)
            numbers.append(told)
        place, held = np.empty(len(rows), dtype=np.int64), columns.read()
        place[order.read()] = np.arange(len(rows))
        held |= {n: self._encode_statistic(n, values) for n, values in numbers.read().items()}
        return SideRows(self.side, entity, self.static, held, mapped(place), mapped(present))

    def _part(
        self, apart: Mapping[str, Numbers], part: Part
    ) -> tuple[Positions, dict[str, Encoded], dict[str, Values]]:
        """Return where a part's rows belong, their encoded columns, and numbers as they are.

        Numbers are encoded of all rows together.
        """
        moving = self._given(part.log.rows[part.rows])
        told: dict[str, Values] = {name: values[part.at] for name, values in apart.items()}
        timelines = Timelines(part.log)
        for name, feature in self.side.features.items():
            if feature.statistic is None or name in apart:
                continue
            values = self._statistic(name, part, timelines)
            if isinstance(values, Ragged) or values.ndim > 1:
                moving[name] = self._encode_statistic(name, values)
            else:
                told[name] = values
        return part.at, moving, told

    def _statistic(self, name: str, part: Part, timelines: Timelines) -> Values:
        statistic = self.side.features[name].statistic
        assert statistic is not None
        asked = self.sources.of(statistic, self.name)
        return compute(statistic, part.log, self.name, part.rows, timelines=timelines, **asked)

    def _given(self, rows: NDArray[np.int64]) -> dict[str, Encoded]:
        """Encode what the rows carry, and what is made of that."""
        found: dict[str, Encoded] = {}
        for name, feature in self.side.features.items():
            if name in self.carried:
                code = self.carried[name].code[rows]
                found[name] = taken(self._once(name, self._encoded_carried), code)
            elif self.carried.keys() & set(feature.made_of):
                found[name] = self._encode_made(name, rows)
        return found

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
        counter = self.side.counter
        told = {} if counter is None else {counter: self._at_end(counter)}
        present = self._present(everyone, moving, told)
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
        self, entity: NDArray[np.int32], moving: Mapping[str, Encoded], told: Mapping[str, Values]
    ) -> NDArray[np.bool_]:
        """Say which rows have preference, by what is encoded, and numbers that are not yet."""
        present = np.zeros(len(entity), dtype=bool)
        for name in self.side.preference.keys() & self.side.given.keys():
            if name in told:
                present |= ~np.isnan(np.asarray(told[name]))
            elif name in moving:
                present |= is_known(moving[name], self.side, name)
            else:
                present |= is_known(self.static[name], self.side, name)[entity]
        if self.side.counter is not None:  # as `Side.has_preference`
            present &= ~(np.asarray(told[self.side.counter]) < self.side.least)
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
            return self._encode_numbers(name, values)
        encoded = self._once(name, self._encoded_names)
        if not isinstance(encoded, Ragged):  # a row holds one word or is missing
            row = np.zeros(len(values), dtype=np.int64)
            row[~values.missing] = values.values + np.int64(1)
            return encoded[row]
        rows = encoded.values[values.values]
        return Ragged(values.indptr, rows, values.weights, values.missing)

    def _encode_numbers(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        """Encode numbers, NaN where missing: each distinct one once, of all of them together.

        The last bit of a logarithm depends on the place that a number has in a run.
        """
        starts = range(0, len(values), CHUNK_OF_NUMBERS)
        chunks = [values[start : start + CHUNK_OF_NUMBERS] for start in starts]
        found = [np.unique(chunk[~np.isnan(chunk)]) for chunk in chunks]
        distinct = np.unique(np.concatenate([values[:0], *found]))
        encoded = self._encode(name, [None, *distinct.tolist()])
        assert not isinstance(encoded, Ragged)
        growing = Growing()
        growing.append(encoded[:0])
        for chunk in chunks:
            row = np.searchsorted(distinct, chunk) + 1
            growing.append(encoded[np.where(np.isnan(chunk), 0, row)])
        return growing.read()

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
        with self._lock:
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
        return taken(self._encode_records(name, records or [{}]), place.ravel())

    def _encode(self, name: str, values: Sequence[Raw]) -> Encoded:
        """Encode values of one feature (at least one)."""
        return self._encode_records(name, [{name: value} for value in values])

    def _encode_records(self, name: str, records: Sequence[Record]) -> Encoded:
        """Encode one feature of records (at least one) that hold what it is made of."""
        return self._encoder_of(name).columns(records)[name]

    def _encoder_of(self, name: str) -> Encoder:
        with self._lock:
            if name not in self._alone:
                self._alone[name] = Encoder.of_feature(self.schema, self.name, name)
            return self._alone[name]


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
