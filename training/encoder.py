"""The encoder graph of one side, run over many records."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.column_table import columns_of_records
from export.contract.encoder import ENCODED, build_encoder
from export.contract.features import MISSING_ROW, PADDING_ROW, Feature
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import Arrays, Record, Side, SideName
from training.ragged import Ragged

CHUNK = 8192


class Encoder:
    """The encoder graph of one side, run by onnxruntime: the same graph export and service run."""

    def __init__(self, schema: Schema, side_name: SideName) -> None:
        self.side: Side = schema.side(side_name)
        self.model = build_encoder(schema, side_name).SerializeToString()
        self._session: ort.InferenceSession = open_session(self.model)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    @classmethod
    def of_feature(cls, schema: Schema, side_name: SideName, name: str) -> "Encoder":
        """Return the encoder of one feature, and what it is made of: quick for long columns."""
        side = schema.side(side_name)
        groups: dict[str, dict[str, Feature]] = {}
        for one in (*side.features[name].made_of, name):
            # What a value becomes does not depend on where it comes from.
            feature = side.features[one].model_copy(update={"statistic": None})
            groups.setdefault(side.group_of(one), {})[one] = feature
        alone = Side.model_validate(groups)
        return cls(schema.model_copy(update={side_name: alone}), side_name)

    def encode(self, records: Sequence[Record]) -> Arrays:
        """Return the encoded arrays of some records, by their names in `Side.encoded`."""
        return self.run(self.side.pack(records, [False] * len(records)))

    def run(self, packed: Arrays) -> Arrays:
        """Return the encoded arrays of a tower's inputs, as `Side.pack` makes them."""
        found = self._session.run(self._outputs, {name: packed[name] for name in self._inputs})
        arrays = {
            name.removeprefix(ENCODED): array
            for name, array in zip(self._outputs, found, strict=True)
        }
        return arrays | {name: packed[name] for name in packed if name.endswith(".weights")}

    def columns(self, records: Sequence[Record]) -> dict[str, NDArray[Any] | Ragged]:
        """Return the encoded columns of many records (at least one), by feature."""
        raw, nobody = columns_of_records(records, self.side), np.zeros(len(records), dtype=bool)
        starts = range(0, len(records), CHUNK)
        parts = [
            self.run(self.side.pack_columns(raw, nobody, slice(start, start + CHUNK)))
            for start in starts
        ]
        columns: dict[str, NDArray[Any] | Ragged] = {}
        for form, names in (("ids", self.side.ids), ("values", self.side.values)):
            for column, name in enumerate(names):
                columns[name] = np.concatenate([part[form][:, column] for part in parts])
        for name in self.side.vectors:
            columns[name] = np.concatenate([part[name] for part in parts])
        for name in self.side.bags:
            bags = [_ragged(part[name], part.get(f"{name}.weights")) for part in parts]
            columns[name] = Ragged.concat(bags)
        return columns


def _ragged(rows: NDArray[Any], weights: NDArray[Any] | None) -> Ragged:
    """Strip the padding of a bag; a missing one is empty and said to be missing."""
    mask = rows != PADDING_ROW
    missing = rows[:, 0] == MISSING_ROW
    mask[missing] = False
    flat = Ragged.of(mask.sum(1), rows[mask], missing)
    return Ragged(flat.indptr, flat.values, None if weights is None else weights[mask], missing)
