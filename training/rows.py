"""Encoded features of many rows of one side, from which batches are cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.encoder import ENCODED, build_encoder
from export.contract.features import MISSING_ROW, PADDING_ROW, Raw, SequenceFeature
from export.contract.schema import Arrays, Record, Schema, Side, SideName
from export.contract.session import open_session
from export.contract.statistics import Identity, Profile
from training.data import Data
from training.fit import parse_column
from training.ragged import Ragged
from training.statistics import ItemWords, Log, Values, as_of_end, compute

CHUNK = 8192


class Encoder:
    """The encoder graph of one side, run by onnxruntime: the same graph export and service run."""

    def __init__(self, schema: Schema, side_name: SideName) -> None:
        self.side: Side = schema.side(side_name)
        self.model = build_encoder(schema, side_name).SerializeToString()
        self._session: ort.InferenceSession = open_session(self.model)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    def encode(self, records: Sequence[Record]) -> Arrays:
        """Return the encoded arrays of some records, by their names in `Side.encoded`."""
        packed = self.side.pack(records, [False] * len(records))
        found = self._session.run(self._outputs, {name: packed[name] for name in self._inputs})
        arrays = {
            name.removeprefix(ENCODED): array
            for name, array in zip(self._outputs, found, strict=True)
        }
        return arrays | {name: packed[name] for name in packed if name.endswith(".weights")}


@dataclass(frozen=True, eq=False)
class SideRows:
    """Rows of one side: what belongs to the entity is held once, what moves is held by row.

    `entity` [rows] points into `static`, whose columns `ids` [entities, n], `values` and bags
    hold every feature of the side; `moving` replaces features by values of the row itself.
    """

    side: Side
    entity: NDArray[np.int32]
    static: dict[str, Any]
    moving: dict[str, Any]
    present: NDArray[np.bool_]  # [rows]

    def __len__(self) -> int:
        return len(self.entity)

    def batch(self, rows: NDArray[Any]) -> Arrays:
        """Return the arrays `Side.encoded` names for some rows."""
        entity = self.entity[rows]
        arrays: Arrays = {}
        for form, names in (("ids", self.side.ids), ("values", self.side.values)):
            if names:
                arrays[form] = self.static[form][entity]
                for column, name in enumerate(names):
                    if name in self.moving:
                        arrays[form][:, column] = self.moving[name][rows]
        for name in self.side.bags:
            moves = name in self.moving
            bag, at = (self.moving[name], rows) if moves else (self.static[name], entity)
            arrays |= _padded(name, self.side, bag, at)
        if self.side.preference:
            arrays["present"] = self.present[rows, None]
        return {name: arrays[name] for name in self.side.encoded}


def _padded(name: str, side: Side, bag: Ragged, at: NDArray[Any]) -> Arrays:
    """Return one bag's rows [batch, length >= 1] and weights; missing has the missing row."""
    feature = side.features[name]
    longest = int(bag.lengths[at].max(initial=0))
    width = min(max(1, longest), getattr(feature, "max_length", longest))
    newest = isinstance(feature, SequenceFeature)
    padded = bag.rows(at, width, keep="last" if newest else "first")
    rows = np.where(padded.mask, padded.ids, PADDING_ROW)
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
        self.name, self.data, self.log = side_name, data, log
        self.side = schema.side(side_name)
        self.item_side = schema.item
        self.encoder = Encoder(schema, side_name)
        self.records = (data.users if side_name == "user" else data.items).records
        self.static = self._encode_entities()

    def rows(self, rows: NDArray[np.int64]) -> SideRows:
        """Encode rows of the log as they were when they happened."""
        moving: dict[str, Any] = {}
        for name, feature in self.side.features.items():
            if feature.statistic is not None:
                words = self._words(feature.statistic)
                values = compute(feature.statistic, self.log, self.name, rows, words=words)
                moving[name] = self._encode_values(name, values, words)
            elif name in self.data.interactions.columns:
                raw = parse_column(self.data.interactions.columns[name][rows], feature)
                moving[name] = self._encode_raw(name, raw)
        return self._side_rows(self.log.ids(self.name)[rows], moving)

    def entities(self) -> SideRows:
        """Encode every entity as of the end of training."""
        everyone = np.arange(len(self.records), dtype=np.int32)
        moving: dict[str, Any] = {}
        for name, feature in self.side.preference.items():
            if feature.statistic is not None:
                words = self._words(feature.statistic)
                values = as_of_end(feature.statistic, self.log, self.name, everyone, words=words)
                moving[name] = self._encode_values(name, values, words)
            elif name in self.data.interactions.columns:
                moving[name] = self._encode_raw(name, last_carried(self, name))
        return self._side_rows(everyone, moving)

    def raw_statistic(self, name: str) -> list[Raw]:
        """Return one declared statistic of every entity at the end of training, as raw values."""
        statistic = self.side.features[name].statistic
        assert statistic is not None
        words = self._words(statistic)
        everyone = np.arange(len(self.records), dtype=np.int32)
        values = as_of_end(statistic, self.log, self.name, everyone, words=words)
        if not isinstance(values, Ragged):
            return [None if np.isnan(value) else float(value) for value in values]
        names = self._names(name, words)
        raw = _raw_id if name in self.side.ids else _raw_bag
        return [raw(values, row, names) for row in range(len(values))]

    def raw_records(self) -> list[dict[str, Raw]]:
        """Return every entity's record with preference as of the end of training."""
        records = [dict(record) for record in self.records]
        for name, feature in self.side.preference.items():
            if feature.statistic is not None:
                values = self.raw_statistic(name)
            elif name in self.data.interactions.columns:
                values = last_carried(self, name)
            else:
                continue
            for record, value in zip(records, values, strict=True):
                record.pop(name, None)
                if value is not None:
                    record[name] = value
        return records

    def _side_rows(self, entity: NDArray[np.int32], moving: dict[str, Any]) -> SideRows:
        present = np.zeros(len(entity), dtype=bool)
        for name in self.side.preference:
            if name in moving:
                present |= _known(moving[name], self.side, name)
            else:
                present |= _known(self._static_column(name), self.side, name)[entity]
        return SideRows(self.side, entity, self.static, moving, present)

    def _static_column(self, name: str) -> Any:
        if name in self.side.ids:
            return self.static["ids"][:, self.side.ids.index(name)]
        if name in self.side.values:
            return self.static["values"][:, self.side.values.index(name)]
        return self.static[name]

    def _encode_entities(self) -> dict[str, Any]:
        parts = [
            self.encoder.encode(self.records[start : start + CHUNK])
            for start in range(0, len(self.records), CHUNK)
        ]
        static: dict[str, Any] = {}
        for form in ("ids", "values"):
            if form in parts[0]:
                static[form] = np.concatenate([part[form] for part in parts])
        for name in self.side.bags:
            weighted = f"{name}.weights"
            static[name] = Ragged.concat(
                [_as_ragged(part[name], part.get(weighted)) for part in parts]
            )
        return static

    def _words(self, statistic: Any) -> ItemWords | None:
        if not isinstance(statistic, Profile):
            return None
        values: list[Any] = [record.get(statistic.of) for record in self.data.items.records]
        return ItemWords.of(values)

    def _names(self, name: str, words: ItemWords | None) -> Sequence[str]:
        if words is not None:
            return words.words
        own_side = isinstance(self.side.features[name].statistic, Identity)
        of_items = own_side == (self.name == "item")
        return (self.data.items if of_items else self.data.users).ids

    def _encode_values(self, name: str, values: Values, words: ItemWords | None) -> Any:
        if isinstance(values, Ragged):
            names = self._names(name, words)
            if name in self.side.ids:
                return self._encode_raw(
                    name, [_raw_id(values, r, names) for r in range(len(values))]
                )
            return self._encode_bag(name, values, names)
        known = ~np.isnan(values)
        distinct, inverse = np.unique(values[known], return_inverse=True)
        encoded = self._encode_raw(name, [None, *map(float, distinct)])
        row = np.zeros(len(values), dtype=np.int64)
        row[known] = inverse + 1
        return encoded[row]

    def _encode_bag(self, name: str, values: Ragged, names: Sequence[str]) -> Ragged:
        """Replace word numbers by table rows, each distinct word looked up once."""
        used, inverse = np.unique(values.values, return_inverse=True)
        weighted = f"{name}.weights" in self.side.encoded
        records: list[Mapping[str, Raw]] = [
            {name: {names[word]: 1.0} if weighted else [names[word]]} for word in used
        ]
        rows = self._chunked(records, name)[:, 0] if records else np.zeros(0, dtype=np.int64)
        return Ragged(values.indptr, rows[inverse].astype(np.int32), values.weights, values.missing)

    def _encode_raw(self, name: str, raw: Sequence[Raw]) -> Any:
        """Encode one feature's parsed values, each distinct scalar once."""
        if name in self.side.bags:
            parts = [
                _as_ragged(part[name], part.get(f"{name}.weights"))
                for start in range(0, len(raw), CHUNK)
                for part in [self.encoder.encode([{name: v} for v in raw[start : start + CHUNK]])]
            ]
            return Ragged.concat(parts)
        distinct = {value: position for position, value in enumerate(dict.fromkeys(raw))}
        form, columns = ("ids", self.side.ids)
        if name in self.side.values:
            form, columns = ("values", self.side.values)
        records: list[Mapping[str, Raw]] = [{name: value} for value in distinct]
        encoded = self._chunked(records, form)[:, columns.index(name)]
        return encoded[[distinct[value] for value in raw]]

    def _chunked(self, records: Sequence[Record], output: str) -> NDArray[Any]:
        starts = range(0, len(records), CHUNK)
        return np.concatenate([self.encoder.encode(records[s : s + CHUNK])[output] for s in starts])


def _as_ragged(rows: NDArray[Any], weights: NDArray[Any] | None) -> Ragged:
    mask = rows != PADDING_ROW
    missing = rows[:, 0] == MISSING_ROW
    mask[missing] = False
    lengths = mask.sum(1)
    flat = Ragged.of(lengths, rows[mask], missing)
    return Ragged(flat.indptr, flat.values, None if weights is None else weights[mask], missing)


def _known(values: Any, side: Side, name: str) -> NDArray[np.bool_]:
    if isinstance(values, Ragged):
        return ~values.missing
    known: NDArray[np.bool_] = values != MISSING_ROW if name in side.ids else ~np.isnan(values)
    return known


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


def last_carried(encoder: RowEncoder, name: str) -> list[Raw]:
    """Return, for every entity, what its last train row carried of a given preference column."""
    log, feature = encoder.log, encoder.side.features[name]
    rows = np.flatnonzero(log.is_train)
    if log.time is not None:
        rows = rows[np.argsort(log.time[rows], kind="stable")]
    values: list[Raw] = [record.get(name) for record in encoder.records]
    column = encoder.data.interactions.columns[name][rows]
    entities = log.ids(encoder.name)[rows]
    for entity, value in zip(entities, parse_column(column, feature), strict=True):
        values[entity] = value
    return values
