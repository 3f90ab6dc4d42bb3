"""Each check fires on a world planted with its fault, and is silent on the clean one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from firstsight import DONE, FAILED, run
from tests.training.conftest import world_config
from training.config import parse_config
from training.doctor import CHECKS, Finding, Patient, examine

Raw = dict[str, Any]
Output = pytest.CaptureFixture[str]


@dataclass
class World:
    """The tables of a world and its config, to be spoilt."""

    raw: Raw
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def column(self, table: str, name: str) -> list[Any]:
        found: list[Any] = self.tables[table].column(name).to_pylist()
        return found

    def put(self, table: str, name: str, values: Any) -> None:
        old = self.tables[table]
        if name in old.column_names:
            old = old.drop_columns([name])
        self.tables[table] = old.append_column(name, pa.array(values))

    def cold(self) -> set[str]:
        rows = self.tables["cold"].to_pylist()
        return {row["id"] for row in rows if row["kind"] == "item"}

    def write(self, folder: Path) -> Path:
        for name, table in self.tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
        self.raw["data"] = {"folder": "."}
        (folder / "train.yaml").write_text(yaml.safe_dump(self.raw), encoding="utf-8")
        return folder / "train.yaml"


@pytest.fixture
def planted(world: Path, tmp_path: Path) -> World:
    names = ("interactions", "users", "items", "cold")
    found = World(world_config(tmp_path))
    found.tables = {name: pq.read_table(world / f"{name}.parquet") for name in names}
    return found


def examined(world: World, folder: Path) -> dict[str, list[Finding]]:
    path = world.write(folder)
    return examine(Patient.of(parse_config(yaml.safe_load(path.read_text()), path)))


def told(found: dict[str, list[Finding]]) -> dict[str, list[Finding]]:
    """Return what is more than a note, by check."""
    worse = {
        name: [one for one in group if one.severity != "note"] for name, group in found.items()
    }
    return {name: group for name, group in worse.items() if group}


def own_id(world: World) -> None:
    world.put("items", "sku", world.column("items", "item_id"))
    world.raw["item"]["content"]["sku"] = {"kind": "category"}


def plays_of_all_time(world: World) -> None:
    """A count over all rows, test rows among them, as a table of today has it."""
    met = world.column("interactions", "item_id")
    clicked = world.column("interactions", "label")
    counts: dict[str, int] = {}
    for item, label in zip(met, clicked, strict=True):
        counts[item] = counts.get(item, 0) + label
    plays = [float(np.log1p(counts.get(one, 0))) for one in world.column("items", "item_id")]
    world.put("items", "plays", plays)
    world.raw["item"]["content"]["plays"] = {"kind": "number"}


def clicks_with_this_one(world: World) -> None:
    seen: dict[str, int] = {}
    values = []
    rows = world.tables["interactions"].sort_by("timestamp")
    world.tables["interactions"] = rows
    for row in rows.to_pylist():
        seen[row["user_id"]] = seen.get(row["user_id"], 0) + row["label"]
        values.append(float(seen[row["user_id"]]))
    world.put("interactions", "clicks_so_far", values)
    world.raw["user"]["preference"]["clicks_so_far"] = {"kind": "number"}


def bare_cold_items(world: World) -> None:
    cold, ids = world.cold(), world.column("items", "item_id")
    for name in ("tags", "maker", "length_s"):
        values = world.column("items", name)
        bare = [None if one in cold else v for one, v in zip(ids, values, strict=True)]
        world.put("items", name, pa.array(bare, world.tables["items"].schema.field(name).type))


def both_labels(world: World) -> None:
    rows = world.tables["interactions"]
    again = rows.slice(0, 60)
    at = rows.column_names.index("label")
    turned = [1 - label for label in again.column("label").to_pylist()]
    again = again.set_column(at, "label", pa.array(turned, rows.schema.field("label").type))
    world.tables["interactions"] = pa.concat_tables([rows, again])


def new_makers(world: World) -> None:
    """Cold items come from makers that training never met, as do most others from rare ones."""
    names = [f"only{n}" if n % 2 else "m1" for n in range(len(world.tables["items"]))]
    world.put("items", "maker", names)


def content_at_random(world: World) -> None:
    rng = np.random.default_rng(5)
    for name in ("tags", "maker"):
        world.put(
            "items",
            name,
            world.tables["items"]
            .column(name)
            .take(pa.array(rng.permutation(len(world.tables["items"]))))
            .combine_chunks(),
        )


FAULTS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "ids_in_content": (own_id, "serious", "item.content.sku"),
    "future": (plays_of_all_time, "serious", "item.content.plays"),
    "own_label": (clicks_with_this_one, "serious", "user.preference.clicks_so_far"),
    "cold_without_content": (bare_cold_items, "serious", "item.content"),
    "rows": (both_labels, "warning", "interactions"),
    "coverage": (new_makers, "warning", "item.content.maker"),
    "ceiling": (content_at_random, "warning", "item.content"),
}


def test_every_check_has_a_planted_fault() -> None:
    assert FAULTS.keys() == CHECKS.keys()


def test_the_clean_world_has_figures_and_no_fault(planted: World, tmp_path: Path) -> None:
    found = examined(planted, tmp_path)
    assert told(found) == {}
    (note,) = found["ceiling"]
    assert note.figures["content"] > 1.5 * note.figures["random"]


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_found_where_it_is(planted: World, tmp_path: Path, check: str) -> None:
    plant, severity, where = FAULTS[check]
    plant(planted)
    found = told(examined(planted, tmp_path))
    assert [(one.severity, one.where) for one in found[check]] == [(severity, where)]
    assert all(one.remedy and one.figures for one in found[check])


def test_a_word_that_names_the_label_is_found(planted: World, tmp_path: Path) -> None:
    labels = planted.column("interactions", "label")
    planted.put("interactions", "outcome", ["left" if not one else "stayed" for one in labels])
    planted.raw["user"]["context"]["outcome"] = {"kind": "category"}
    (finding,) = examined(planted, tmp_path)["own_label"]
    assert finding.where == "user.context.outcome"
    assert finding.figures["auc over all"] == 1.0


def test_counts_of_what_went_before_are_no_fault(planted: World, tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    for row in planted.tables["interactions"].to_pylist():
        if row["split"] == "train":
            counts[row["item_id"]] = counts.get(row["item_id"], 0) + row["label"]
    plays = [float(counts.get(one, 0)) for one in planted.column("items", "item_id")]
    planted.put("items", "plays", plays)
    planted.raw["item"]["content"]["plays"] = {"kind": "number"}
    seen: dict[str, int] = {}
    rows = planted.tables["interactions"].sort_by("timestamp")
    planted.tables["interactions"] = rows
    before = []
    for row in rows.to_pylist():
        before.append(float(seen.get(row["user_id"], 0)))
        seen[row["user_id"]] = seen.get(row["user_id"], 0) + row["label"]
    planted.put("interactions", "clicks_so_far", before)
    planted.raw["user"]["preference"]["clicks_so_far"] = {"kind": "number"}
    found = examined(planted, tmp_path)
    assert found["future"] == found["own_label"] == []


def test_numbers_of_single_entities_are_ids_if_they_get_rows(
    planted: World, tmp_path: Path
) -> None:
    planted.put("items", "sku", [f"S{n:04}" for n in range(len(planted.tables["items"]))])
    severities = []
    for options in ({"min_count": 1}, {"vocabulary": "hashed", "buckets": 500}, {}):
        planted.raw["item"]["content"]["sku"] = {"kind": "category", **options}
        (finding,) = examined(planted, tmp_path)["ids_in_content"]
        severities.append(finding.severity)
    assert severities == ["serious", "serious", "warning"]


def test_allow_id_makes_an_id_a_warning(planted: World, tmp_path: Path) -> None:
    own_id(planted)
    planted.raw["allow_id"] = True
    assert examined(planted, tmp_path)["ids_in_content"][0].severity == "warning"


def test_repeats_and_strangers_are_counted(planted: World, tmp_path: Path) -> None:
    rows = planted.tables["interactions"]
    strange = rows.set_column(1, "item_id", pa.array(["elsewhere"] * len(rows)))
    parts = [rows, rows.slice(0, 200), strange]
    planted.tables["interactions"] = pa.concat_tables(parts)
    repeats, strangers = examined(planted, tmp_path)["rows"]
    assert (repeats.severity, repeats.figures["rows"]) == ("warning", 200)
    assert (strangers.severity, strangers.figures["rows"]) == ("serious", len(rows))


def test_the_exit_code_says_whether_something_is_serious(
    planted: World, tmp_path: Path, capsys: Output
) -> None:
    path, report = planted.write(tmp_path), tmp_path / "found.json"
    assert run(["doctor", str(path)]) == DONE
    assert capsys.readouterr().out.splitlines()[-1] == "0 serious; 0 warning; 1 note"
    own_id(planted)
    new_makers(planted)
    planted.write(tmp_path)
    assert run(["doctor", str(path), "--json", str(report)]) == FAILED
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "serious: item.content.sku: holds the item's own id"
    assert "aggregate: identity" in lines[1]
    assert said.err == ""
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["counts"]["serious"] == 1
    first = document["findings"][0]
    assert first["check"] == "ids_in_content"
    assert first.keys() == {"check", "severity", "where", "what", "remedy", "figures"}


def test_overrides_are_examined(planted: World, tmp_path: Path, capsys: Output) -> None:
    own_id(planted)
    path = planted.write(tmp_path)
    assert run(["doctor", str(path), "--set", "allow_id=true"]) == DONE
    assert capsys.readouterr().out.startswith("warning: item.content.sku")


def test_the_shipped_example_has_nothing_serious(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples" / "kuairand"
    shutil.copy(example / "train.yaml", tmp_path / "train.yaml")
    folder = f"data.folder={example / 'data'}"
    assert run(["doctor", str(tmp_path / "train.yaml"), "--set", folder]) == DONE
