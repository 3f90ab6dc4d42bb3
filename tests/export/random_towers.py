"""Models of random weights over every feature kind on both sides, and their tower files."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.contract.bundle import BundleLayout
from export.contract.run import RunLayout
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import SIDES, Record, SideName
from export.contract.similarity import ROOM, Similarity, lifted_items, lifted_users
from export.onnx import convert
from tests.export.kind_rows import DIM, records_of, schema_of
from tests.once import once
from training.batches import tensors
from training.config import TrainConfig, parse_config
from training.encoder import Encoder
from training.model import TwoTower
from training.program import export_tower
from training.side_rows import SideRows

TOLERANCE = 1e-5
TOWERS: dict[str, dict[str, Any]] = {
    "additive": {"hidden": [6]},
    "dat": {"embedding": DIM, "hidden": [9]},
    "dropoutnet": {"embedding": 5, "content": [7], "preference": [6], "hidden": [9]},
    "mlp": {"embedding": 5, "hidden": [9]},
    "senet": {"embedding": 5, "hidden": [9], "layer_norm": True},
    "parallel": {"embedding": 5},
}


@dataclass(frozen=True)
class Towers:
    """A model of random weights, and the tower files made of it."""

    schema: Schema
    model: TwoTower
    encoders: dict[SideName, Encoder]
    files: dict[SideName, ort.InferenceSession]
    largest_norm: float | None

    def compare(self, side: SideName, records: list[Record], present: bool) -> np.ndarray:
        """Return the vectors of onnxruntime, once torch has been found to give the same."""
        packed = self.schema.side(side).pack(records, [present] * len(records))
        got: np.ndarray = self.files[side].run(["vector"], packed)[0]
        expected = self.by_torch(side, records, present)
        if self.largest_norm is not None:
            both = [expected, self.largest_norm] if side == "item" else [expected]
            expected = (lifted_items if side == "item" else lifted_users)(*both)
            # The square: where that is near 0, the last value tells one rounding from the next.
            assert np.abs(got[:, -1] ** 2 - expected[:, -1] ** 2).max() <= TOLERANCE
            got, expected = got[:, :-1], expected[:, :-1]
        assert got.shape == expected.shape == (len(records), DIM)
        assert np.abs(got - expected).max() <= TOLERANCE
        return got

    @torch.no_grad()
    def by_torch(self, side: SideName, records: list[Record], present: bool) -> np.ndarray:
        features = self.schema.side(side)
        packed = features.pack(records, [present] * len(records))
        arrays = self.encoders[side].run(packed) | {"present": packed["present"]}
        vectors: np.ndarray = self.model.side(side)(
            tensors({name: arrays[name] for name in features.encoded})
        ).numpy()
        return vectors


def config_of(tower: str, similarity: Similarity) -> TrainConfig:
    own = {"own": {"kind": "category", "aggregate": "identity"}}
    other = {"content": {"n": {"kind": "number"}}, "preference": own}
    raw = {
        "data": {"folder": "."},
        "split": {"kind": "by_time"},
        "user": other,
        "item": other,
        "tower": {"kind": tower, "dim": DIM, **TOWERS[tower]},
        "similarity": similarity,
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
    }
    return parse_config(raw, Path("train.yaml"))


def randomised(model: TwoTower) -> TwoTower:
    """Give every weight, and what batch norm has seen, some value: a zero would hide much."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5) if name.endswith("_var") else buffer.normal_(std=0.3)
    return model.eval()


def make(folder: Path, tower: str, schema: Schema) -> None:
    """Write the weights of a model, its programs, and the tower files made of them."""
    layout = RunLayout(folder)
    model = randomised(TwoTower(config_of(tower, schema.similarity), schema))
    folder.mkdir()
    torch.save(model.state_dict(), layout.weights)
    encoders = {side: Encoder(schema, side) for side in SIDES}
    for side in SIDES:
        layout.encoder(side).write_bytes(encoders[side].model)
        columns = encoders[side].columns([{}, {}, {}])
        three, side_of = np.arange(3), schema.side(side)
        rows = SideRows(side_of, three.astype(np.int32), columns, {}, three, np.ones(3, bool))
        export_tower(model.side(side), rows, layout.tower(side))
    norm = None
    if schema.similarity == "inner_product":
        raw = Towers(schema, model, encoders, {}, None)
        norms = np.linalg.norm(raw.by_torch("item", records_of(schema, "item"), True), axis=1)
        norm = float(ROOM * np.median(norms))  # so that some items are cut
    layout.metrics.write_text(json.dumps({"largest_norm": norm}))
    for side in SIDES:
        file = convert(layout, schema, side)
        file = file if norm is None else file.lifted(side, norm)
        file.save(BundleLayout(folder).tower(side))


def folder_of(factory: pytest.TempPathFactory, tower: str, similarity: Similarity) -> Path:
    """Return what `make` wrote of a tower over every row: once for all tests of a session."""
    write = partial(make, tower=tower, schema=schema_of(similarity))
    return once(factory, f"random-{tower}-{similarity}", write)


def read(folder: Path, tower: str, schema: Schema) -> Towers:
    """Read what `make` wrote."""
    layout = RunLayout(folder)
    model = TwoTower(config_of(tower, schema.similarity), schema)
    model.load_state_dict(torch.load(layout.weights))
    return Towers(
        schema,
        model.eval(),
        {side: Encoder(schema, side) for side in SIDES},
        {side: open_session(BundleLayout(folder).tower(side)) for side in SIDES},
        json.loads(layout.metrics.read_bytes())["largest_norm"],
    )
