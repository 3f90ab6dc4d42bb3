"""A tower file: one ONNX file, and beside it the tables that are large."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto

from export.contract.manifest import data_beside
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import SideName
from export.graph import PREFIX, Ends, join
from export.lift import lift

PAGE = 4096  # onnxruntime maps a table from where a page begins

Tables = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TowerFile:
    """A joined tower; of the tables in `beside`, by name, the model holds no row."""

    model: onnx.ModelProto
    beside: Tables = field(default_factory=dict)

    @classmethod
    def join(
        cls,
        schema: Schema,
        side: SideName,
        encoder: onnx.ModelProto,
        program: onnx.ModelProto,
        beside: Tables,
        ends: Ends | None = None,
    ) -> "TowerFile":
        """Join an encoder and a program whose tables `beside` have no row in it; see `join`.

        Raises:
            BundleError: The program takes another number of inputs.

        """
        tables = {PREFIX + name: table for name, table in beside.items()}
        return cls(join(schema, side, encoder, program, ends), tables)

    @property
    def beside_bytes(self) -> int:
        """Bytes of the tables that lie beside the model."""
        return sum(table.nbytes for table in self.beside.values())

    def lifted(self, side: SideName, largest_norm: float) -> "TowerFile":
        """Return the same tower with the lift of an inner product behind it."""
        return replace(self, model=lift(self.model, side, largest_norm))

    def save(self, path: Path) -> None:
        """Write the ONNX file, and its data file if a table lies beside it."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        if self.beside:
            places = _write_tables(data_beside(path), self.beside)
            for tensor in model.graph.initializer:
                if tensor.name in places:
                    _point(tensor, self.beside[tensor.name], data_beside(path), places[tensor.name])
        onnx.save(model, path)

    def open(self) -> ort.InferenceSession:
        """Open the tower as it would be saved."""
        if not self.beside:
            return open_session(self.model.SerializeToString())
        with tempfile.TemporaryDirectory() as folder:  # onnxruntime keeps what it has mapped
            path = Path(folder) / "tower.onnx"
            self.save(path)
            return open_session(path)


def _write_tables(path: Path, tables: Tables) -> dict[str, int]:
    """Write tables one after the other, and return where each begins."""
    places = {}
    with path.open("wb") as file:
        for name, table in tables.items():
            file.seek(-file.tell() % PAGE, 1)
            places[name] = file.tell()
            file.write(np.ascontiguousarray(table).data)
    return places


def _point(tensor: TensorProto, table: NDArray[Any], data: Path, place: int) -> None:
    """Let a tensor without rows say where its rows lie."""
    tensor.ClearField("raw_data")
    tensor.dims[:] = table.shape
    tensor.data_location = TensorProto.EXTERNAL
    where = {"location": data.name, "offset": str(place), "length": str(table.nbytes)}
    for key, value in where.items():
        tensor.external_data.add(key=key, value=value)
