"""Parity as one table: every feature kind, side, tower and similarity, torch against onnxruntime.

Nothing is trained: the weights are random. A kind or a tower without a row here fails.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export.contract.bundle import BundleLayout
from export.contract.features import KINDS
from export.contract.run import RunLayout
from export.contract.schema import Schema
from export.contract.session import open_session
from export.contract.side import SIDES, Record, SideName
from export.contract.similarity import ROOM, Similarity, lifted_items, lifted_users
from export.onnx import convert
from tests.export.kind_rows import (
    CONTENT,
    DIM,
    PREFERENCE,
    given_to,
    groups_of,
    records_of,
    rows_of,
    schema_of,
)
from tests.once import once
from training.batches import tensors
from training.config import TrainConfig, parse_config
from training.encoder import Encoder
from training.model import TwoTower
from training.program import export_tower
from training.rows import SideRows
from training.towers import TowerConfig

TOLERANCE = 1e-5
TOWERS: dict[str, dict[str, Any]] = {
    "additive": {"hidden": [6]},
    "dat": {"embedding": DIM, "hidden": [9]},
    "dropoutnet": {"embedding": 5, "content": [7], "preference": [6], "hidden": [9]},
    "mlp": {"embedding": 5, "hidden": [9]},
    "senet": {"embedding": 5, "hidden": [9], "layer_norm": True},
    "parallel": {"embedding": 5},
}
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "inner_product")

WHOLE = ("additive", "dropoutnet")  # the towers that meet every row


def rows_for(tower: str, similarity: Similarity, side: SideName, group: str) -> list[str]:
    """Return the rows that a tower is compared on.

    Features are read alike in every tower, which sees no more than a wide vector of each group.
    So two towers meet every row; each other one meets each kind on each side, the kinds taking
    turns among groups and similarities, and one row of context.
    """
    names = list(rows_of(group, similarity))
    if tower in WHOLE:
        return names
    first = list({name.split("-")[0]: name for name in reversed(names)}.values())[::-1]
    if group == "context":
        return first[:1]
    turns = [*product(SIMILARITIES, ("content", "preference"))]
    turn = turns.index((similarity, group)) + list(TOWERS).index(tower) + SIDES.index(side)
    return [name for at, name in enumerate(first) if at % len(turns) == turn % len(turns)]


CELLS = [
    pytest.param(tower, similarity, side, group, name, id=f"{tower}-{similarity}-{side}-{name}")
    for tower, similarity, side in product(TOWERS, SIMILARITIES, SIDES)
    for group in groups_of(side)
    for name in rows_for(tower, similarity, side, group)
]


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


def make(folder: Path, tower: str, similarity: Similarity) -> None:
    """Write the weights of a model, its programs, and the tower files made of them."""
    schema, layout = schema_of(similarity), RunLayout(folder)
    model = randomised(TwoTower(config_of(tower, similarity), schema))
    folder.mkdir()
    torch.save(model.state_dict(), layout.weights)
    encoders = {side: Encoder(schema, side) for side in SIDES}
    for side in SIDES:
        layout.encoder(side).write_bytes(encoders[side].model)
        columns = encoders[side].columns([{}, {}, {}])
        rows = SideRows(
            schema.side(side), np.arange(3, dtype=np.int32), columns, {}, np.ones(3, bool)
        )
        export_tower(model.side(side), rows, layout.tower(side))
    norm = None
    if similarity == "inner_product":
        raw = Towers(schema, model, encoders, {}, None)
        norms = np.linalg.norm(raw.by_torch("item", records_of(schema, "item"), True), axis=1)
        norm = float(ROOM * np.median(norms))  # so that some items are cut
    layout.metrics.write_text(json.dumps({"largest_norm": norm}))
    for side in SIDES:
        file = convert(layout, schema, side)
        file = file if norm is None else file.lifted(side, norm)
        file.save(BundleLayout(folder).tower(side))


def read(folder: Path, tower: str, similarity: Similarity) -> Towers:
    schema, layout = schema_of(similarity), RunLayout(folder)
    model = TwoTower(config_of(tower, similarity), schema)
    model.load_state_dict(torch.load(layout.weights))
    return Towers(
        schema,
        model.eval(),
        {side: Encoder(schema, side) for side in SIDES},
        {side: open_session(BundleLayout(folder).tower(side)) for side in SIDES},
        json.loads(layout.metrics.read_bytes())["largest_norm"],
    )


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Similarity], Towers]:
    @cache
    def made(tower: str, similarity: Similarity) -> Towers:
        write = partial(make, tower=tower, similarity=similarity)
        folder = once(tmp_path_factory, f"parity-{tower}-{similarity}", write)
        return read(folder, tower, similarity)

    return made


def test_no_kind_and_no_tower_is_without_a_row() -> None:
    kinds = {kind.model_fields["kind"].default for kind in KINDS}
    assert CONTENT.keys() == PREFERENCE.keys() == kinds
    members = get_args(get_args(TowerConfig)[0])
    assert TOWERS.keys() == {member.model_fields["kind"].default for member in members}
    assert get_args(Similarity) == SIMILARITIES


def test_every_tower_meets_every_kind_side_and_similarity() -> None:
    kinds = [kind.model_fields["kind"].default for kind in KINDS]
    met = {(p.values[0], p.values[2], str(p.values[4]).split("-")[0]) for p in CELLS}
    assert met == {*product(TOWERS, SIDES, kinds)}
    assert {p.values[:3] for p in CELLS} == {*product(TOWERS, SIMILARITIES, SIDES)}
    for whole in WHOLE:
        of_one = {p.values[1:] for p in CELLS if p.values[0] == whole}
        assert {p.values[1:] for p in CELLS} == of_one


@pytest.mark.parametrize(("tower", "similarity", "side", "group", "name"), CELLS)
def test_torch_and_tower_file_give_the_same(
    towers: Callable[[str, Similarity], Towers],
    tower: str,
    similarity: Similarity,
    side: SideName,
    group: str,
    name: str,
) -> None:
    both = towers(tower, similarity)
    alone = given_to(both.schema, side, name, rows_of(group, similarity)[name])
    others = records_of(both.schema, side)
    drawn = np.random.default_rng(3).integers(len(others), size=len(alone))
    among = [{**others[other], **one} for other, one in zip(drawn, alone, strict=True)]
    records = [{}, *alone, *among]
    for present in (True, False):
        together = both.compare(side, records, present)
        for record, vector in zip(records, together, strict=True):
            single = both.compare(side, [record], present)[0]
            assert np.abs(single - vector).max() <= TOLERANCE
        moved = np.abs(together[1 : len(alone) + 1] - together[0]).max()
        if group == "preference" and not present:
            assert moved == 0 or "shop" in alone[0]  # a shop is content, whoever is made of it
        else:
            assert moved > 1e-4  # the value has reached the vector
