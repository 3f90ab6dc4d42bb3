import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from export.embedder import open_bundle
from firstsight import DONE, MISTAKE, run
from tests.training.easyrec.made import easyrec, with_computed, write_samples
from training.config import read_config
from training.document import parse_yaml
from training.easyrec.towers import KINDS
from training.losses import LossConfig
from training.negatives import NegativeConfig
from training.towers import TowerConfig

Output = pytest.CaptureFixture[str]
IDS = ("--user-id", "buyer", "--item-id", "ad")


def members(union: Any) -> set[str]:
    """Return the kinds of a family."""
    return {one.model_fields["kind"].default for one in get_args(get_args(union)[0])}


def known(kind: str) -> bool:
    """Say whether all that a model becomes is there to be trained."""
    wanted = {"pointwise", "sv_softmax", "in_batch_softmax"} | (
        {"mimic"} if kind == "DAT" else set()
    )
    return KINDS[kind] in members(TowerConfig) and wanted <= members(LossConfig)


TRAINABLE = [kind for kind in KINDS if known(kind)]


def imported(folder: Path, text: str, *options: str) -> int:
    """Run the command on a configuration beside its samples."""
    (folder / "shop.config").write_text(text, encoding="utf-8")
    out, data = str(folder / "train.yaml"), str(folder / "tables")
    return run(
        ["import-easyrec", str(folder / "shop.config"), "--out", out, "--data", data, *options]
    )


@pytest.mark.parametrize("kind", TRAINABLE)
def test_an_imported_model_validates_trains_and_exports(kind: str, tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "samples.csv")
    assert imported(tmp_path, easyrec(kind), "--samples", str(samples), *IDS) == DONE
    config, out = str(tmp_path / "train.yaml"), str(tmp_path / "run")
    assert run(["validate", config]) == DONE
    assert run(["train", config, "--out", out, "--set", "training.epochs=1"]) == DONE
    (tmp_path / "bundles").mkdir()
    assert run(["export", out, "--out", str(tmp_path / "bundles" / "1")]) == DONE
    parity = json.loads((tmp_path / "bundles" / "1" / "parity.json").read_text("utf-8"))
    assert parity
    assert (tmp_path / "bundles" / "1" / "user_tower.onnx").is_file()


def test_what_is_worked_out_of_columns_trains_and_is_served(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "samples.csv", computed=True)
    text = with_computed(easyrec())
    assert imported(tmp_path, text, "--samples", str(samples), *IDS) == DONE
    users = pq.read_table(tmp_path / "tables" / "users.parquet").to_pylist()
    by_id = {row["user_id"]: row for row in users}
    assert by_id["b1"]["here"] == "1;x"
    assert by_id["b2"]["here"] == ""
    assert [by_id[f"b{n}"]["grown"] for n in (1, 4, 8)] == ["0.0", "1.0", "0.0"]
    words = by_id["b1"]["age_city_seen"].split("|")
    assert len(words) == 3
    assert all(word.startswith("1&c1&a") for word in words)
    config, out = str(tmp_path / "train.yaml"), str(tmp_path / "run")
    assert "worked out beforehand" in Path(config).read_text("utf-8")
    assert run(["train", config, "--out", out, "--set", "training.epochs=1"]) == DONE
    (tmp_path / "bundles").mkdir()
    assert run(["export", out, "--out", str(tmp_path / "bundles" / "1")]) == DONE
    bundle, embedder = open_bundle(tmp_path / "bundles" / "1")
    given: list[dict[str, Any]] = [
        {"age": "1", "here": ["1", "x"], "grown": 0.0},
        {"age": "1", "here": ["7"]},
    ]
    records = [bundle.schema.user.parse(one) for one in given]
    one, other = embedder.embed("user", records)
    assert not np.allclose(one, other)


def test_dropoutnet_is_among_them() -> None:
    assert "DropoutNet" in TRAINABLE
    assert "in_batch" in members(NegativeConfig)


def test_the_yaml_says_what_became_of_the_rest(tmp_path: Path, capsys: Output) -> None:
    assert imported(tmp_path, easyrec(), *IDS) == DONE
    page = (tmp_path / "train.yaml").read_text("utf-8")
    head = page[: page.index("\ndata:")].splitlines()
    assert all(line.startswith("# ") for line in head)
    assert head[0] == f"# firstsight train {tmp_path / 'train.yaml'} --out runs/train"
    assert "#   items: item_id (ad), topics (topics + topic_scores), look, price, clicks" in head
    assert any(line.startswith("#   model_dir (line 3): ") for line in head)
    assert any("input_type (line 13, 11 times)" in line for line in head)
    assert "fields are mapped" in capsys.readouterr().out


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    text = easyrec().replace("['c0', 'c1']", "['no', '标', '1', 'a: b', '\\001', '😀']")
    assert imported(tmp_path, text, *IDS) == DONE
    raw = parse_yaml((tmp_path / "train.yaml").read_text("utf-8"))
    words = raw["user"]["content"]["city"]["words_from"]
    assert words == ["no", "标", "1", "a: b", "\x01", "😀", "c2"]
    config = read_config(tmp_path / "train.yaml")
    assert config.data.folder == (tmp_path / "tables").resolve()


def test_samples_tell_the_epochs(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "samples.csv", rows=400)
    assert imported(tmp_path, easyrec(), "--samples", str(samples), *IDS) == DONE
    assert read_config(tmp_path / "train.yaml").training.epochs == 8


def test_every_refused_field_has_its_line(tmp_path: Path, capsys: Output) -> None:
    text = easyrec().replace("user_dropout_rate: 0.25", "user_dropout_rate: 'x' zz: 1")
    assert imported(tmp_path, text, *IDS) == MISTAKE
    told = capsys.readouterr().err.splitlines()
    assert told[0].endswith("shop.config: 2 fields are refused:")
    place = "model_config.dropoutnet.user_dropout_rate: got 'x'; expected a finite number"
    assert any(line.endswith(place) for line in told[1:])
    assert not (tmp_path / "train.yaml").exists()


def test_nothing_is_written_where_samples_cannot_be_read(tmp_path: Path) -> None:
    assert imported(tmp_path, easyrec(), "--samples", "nowhere.csv", *IDS) == MISTAKE
    assert not (tmp_path / "train.yaml").exists()
    assert not (tmp_path / "tables").exists()


def test_a_yaml_that_is_there_is_kept(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "train.yaml").write_text("mine", encoding="utf-8")
    assert imported(tmp_path, easyrec(), *IDS) == MISTAKE
    assert "--force replaces it" in capsys.readouterr().err
    assert (tmp_path / "train.yaml").read_text("utf-8") == "mine"
    assert imported(tmp_path, easyrec(), "--force", *IDS) == DONE
    assert (tmp_path / "train.yaml").read_text("utf-8") != "mine"


def test_an_id_is_asked_for_by_its_option(tmp_path: Path, capsys: Output) -> None:
    assert imported(tmp_path, easyrec(), "--user-id", "buyer") == MISTAKE
    assert "--item-id names one of" in capsys.readouterr().err


def test_no_folder_is_made_for_the_yaml(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "shop.config").write_text(easyrec(), encoding="utf-8")
    out = str(tmp_path / "nowhere" / "train.yaml")
    assert run(["import-easyrec", str(tmp_path / "shop.config"), "--out", out, *IDS]) == MISTAKE
    assert "no such folder" in capsys.readouterr().err
