from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from export.bundling import export_run
from export.contract.bundle import Bundle
from export.contract.run import RunLayout
from export.contract.side import SIDES, SideName
from export.contract.tables import read_records
from export.embedder import Embedder, open_bundle
from tests.once import once
from tests.training.conftest import dat_config
from training.augmented import AUGMENTED
from training.batches import Batch
from training.config import parse_config
from training.losses import Mimic
from training.model import TwoTower
from training.prepare import Prepared, make_batches, make_encoders, prepare
from training.run import run_training
from training.towers.dat import DATConfig, DATTower

WIDTHS = {"content": (2, 1), "context": (1,), "preference": (2,), AUGMENTED: (3,)}
OWN = {"user": "own", "item": "own_id"}


def groups(rows: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(rows, sum(widths)) for name, widths in WIDTHS.items()}


def built(**options: object) -> DATTower:
    torch.manual_seed(1)
    return DATConfig.model_validate({"dim": 3, **options}).build(WIDTHS)


def flags(*values: bool) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_it_is_one_network_over_everything_and_the_augmented_vector_last() -> None:
    tower, found = built(hidden=()), groups()
    wide = torch.cat(list(found.values()), dim=1)
    torch.testing.assert_close(tower(found, flags(True, True)), tower.last(wide))
    deep = built(hidden=(6, 5), dropout=0.1)
    kinds = [type(layer).__name__ for layer in deep.network]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2
    shapes = {n: tuple(p.shape) for n, p in deep.named_parameters() if p.dim() == 2}
    assert shapes == {"network.0.weight": (6, 9), "network.4.weight": (5, 6), "last.weight": (3, 5)}


def test_batch_norm_is_left_out_where_it_is_not_wanted() -> None:
    kinds = [type(layer).__name__ for layer in built(batch_norm=False).network]
    assert kinds == ["Linear", "ReLU"]


def test_absent_preference_is_a_default_and_the_augmented_vector_is_taken_as_it_comes() -> None:
    tower, found = built(hidden=()), groups()
    with torch.no_grad():
        tower.default.copy_(torch.tensor([0.3, 0.4]))
    defaults = tower.default.detach().expand(2, 2)
    wide = torch.cat([found["content"], found["context"], defaults, found[AUGMENTED]], dim=1)
    torch.testing.assert_close(tower(found, flags(False, False)), tower.last(wide))


def test_a_side_may_have_nothing_but_its_id() -> None:
    tower = DATConfig(dim=3).build({AUGMENTED: (3,)})
    assert tower({AUGMENTED: torch.ones(2, 3)}, flags(True, False)).shape == (2, 3)


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    return prepare(parse_config(dat_config(world), world / "train.yaml"))


@pytest.fixture(scope="module")
def batch(prepared: Prepared) -> Batch:
    return next(make_batches(prepared, make_encoders(prepared)).epoch(0))


def test_of_a_whole_model_mimic_moves_the_rows_of_ids_and_nothing_else(
    prepared: Prepared, batch: Batch
) -> None:
    model = TwoTower(prepared.config, prepared.schema)
    Mimic()(batch.scored(model.user.seen(batch.user), model.item.seen(batch.item))).backward()  # type: ignore[no-untyped-call]
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"user.augmented.table.weight", "item.augmented.table.weight"}


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    config = parse_config(dat_config(world), world / "train.yaml")
    return RunLayout(once(tmp_path_factory, "dat-run", lambda out: run_training(config, out)))


@pytest.fixture(scope="module")
def served(run: RunLayout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Embedder]:
    path = once(tmp_path_factory, "dat-bundle", lambda out: export_run(run.folder, out))
    return open_bundle(path)


def test_a_trained_model_is_exported_and_gives_the_vectors_of_its_catalogue(
    run: RunLayout, served: tuple[Bundle, Embedder]
) -> None:
    bundle, embedder = served
    items = read_records(run.items, bundle.schema.item, "item_id")
    assert bundle.ids == items.ids
    np.testing.assert_allclose(bundle.vectors, embedder.embed("item", items.records), atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_what_is_served_to_the_cold_does_not_depend_on_who_they_are(
    run: RunLayout, served: tuple[Bundle, Embedder], side: SideName
) -> None:
    bundle, embedder = served
    features, name = bundle.schema.side(side), OWN[side]
    path = run.users if side == "user" else run.items
    records = read_records(path, features, f"{side}_id").records
    first, second = bundle.schema.tables[f"{side}.{name}"][:2]
    plain = {n: value for n, value in records[0].items() if n in features.content}
    ids = [{}, {name: first}, {name: second}, {name: "never seen"}]
    cold = embedder.embed(side, [{**plain, **one} for one in ids], [False] * 4)
    assert (cold == cold[0]).all()
    warm = embedder.embed(side, [{**plain, **one} for one in ids], [True] * 4)
    np.testing.assert_allclose(warm[3], warm[0], atol=1e-6)  # an id unheard of is none
    assert np.abs(warm[1] - warm[0]).max() > 1e-3
    assert np.abs(warm[1] - warm[2]).max() > 1e-3


def test_cold_entities_are_served_without_their_id(run: RunLayout, world: Path) -> None:
    cold = pq.read_table(world / "cold.parquet").to_pydict()
    of_kind = {i for i, kind in zip(cold["id"], cold["kind"], strict=True) if kind == "item"}
    table = pq.read_table(run.items).to_pydict()
    told = dict(zip(table["item_id"], table["own_id"], strict=True))
    assert of_kind
    assert all(told[one] is None for one in of_kind)
