import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from export.bundling import export_run
from export.contract.errors import BundleError, ConfigError
from export.contract.run import RunLayout
from export.contract.side import Record, SideName
from export.contract.tables import read_records
from training.split import GivenSplit
from training.subject import embed_all, open_subject

SIDES: tuple[SideName, ...] = ("user", "item")


@pytest.mark.parametrize("side", SIDES)
def test_a_run_and_its_bundle_embed_alike(trained: RunLayout, bundle: Path, side: SideName) -> None:
    run, exported = (open_subject(folder, None).towers for folder in (trained.folder, bundle))
    path = trained.users if side == "user" else trained.items
    known = read_records(path, run.schema.side(side), f"{side}_id").records
    features = run.schema.side(side)
    cold: list[Record] = [
        {n: v for n, v in r.items() if n not in features.preference} for r in known
    ]
    nothing: list[Record] = [{}]
    for records in (known, cold, nothing):
        one, other = (embed_all(towers, side, records) for towers in (run, exported))
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert not np.allclose(embed_all(run, side, known), embed_all(run, side, cold))


def test_other_towers_can_be_measured_on_the_rows_of_the_first(trained: RunLayout) -> None:
    first = open_subject(trained.folder, None)
    changed = first.config.model_copy(update={"split": GivenSplit()})
    other = replace(first, config=changed)
    assert other.config != first.config
    assert other.on_rows_of(first) == first


def test_data_may_lie_elsewhere(trained: RunLayout, tmp_path: Path) -> None:
    assert open_subject(trained.folder, tmp_path).config.data.folder == tmp_path


def test_data_that_changed_since_training_is_refused_unless_asked_for(
    trained: RunLayout, world: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(world, tmp_path / world.name)
    run = RunLayout(shutil.copytree(trained.folder, tmp_path / "run"))
    raw = yaml.safe_load(run.config.read_text())
    run.config.write_text(
        yaml.safe_dump(raw | {"data": raw["data"] | {"folder": f"../{data.name}"}})
    )
    bundle = tmp_path / "far" / "away" / "shop-1"
    bundle.parent.mkdir(parents=True)
    export_run(run.folder, bundle)
    for folder in (run.folder, bundle):
        assert open_subject(folder, None).config.data.folder == data
    shutil.copy(data / "truth.parquet", data / "cold.parquet")
    for folder in (run.folder, bundle):
        with pytest.raises(ConfigError, match="is not what it was trained on .* give --data DIR"):
            open_subject(folder, None)
        assert open_subject(folder, data).config.data.folder == data


def test_a_folder_that_is_neither_run_nor_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a run nor a bundle"):
        open_subject(tmp_path, None)


def test_a_run_that_has_not_finished_is_refused(trained: RunLayout, tmp_path: Path) -> None:
    shutil.copy(trained.config, tmp_path)
    with pytest.raises(BundleError, match="no finished run here"):
        open_subject(tmp_path, None)


def test_a_run_and_its_bundle_know_their_name_and_their_epochs(
    trained: RunLayout, bundle: Path
) -> None:
    for folder in (trained.folder, bundle):
        opened = open_subject(folder, None)
        assert opened.name == str(folder)
        assert [one["epoch"] for one in opened.epochs] == [1, 2]
