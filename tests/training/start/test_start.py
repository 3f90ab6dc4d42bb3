from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from firstsight import DONE, MISTAKE, run
from tests.training.start.made import shop, write_shop
from training.document import parse_yaml

ROOT = Path(__file__).parents[3]
Output = pytest.CaptureFixture[str]


def written(data: Path, *options: str) -> dict[str, Any]:
    """Run `firstsight init` beside a data folder, and return what it wrote."""
    out = data.parent / "train.yaml"
    assert run(["init", str(data), "--out", str(out), "--force", *options]) == DONE
    raw: dict[str, Any] = parse_yaml(out.read_text(encoding="utf-8"))
    return raw


def kinds(group: dict[str, Any]) -> dict[str, str]:
    return {name: one["kind"] for name, one in group.items()}


@pytest.mark.parametrize("csv", [False, True])
def test_every_column_gets_its_kind_and_group(tmp_path: Path, csv: bool) -> None:
    raw = written(write_shop(tmp_path / "shop", csv=csv))
    assert kinds(raw["item"]["content"]) == {
        "genres": "tags",
        "maker": "category",
        "price": "number",
        "weight_kg": "number",
        "title": "text",
        "photo": "vector",
    }
    assert raw["item"]["content"]["price"]["log1p"]
    assert raw["item"]["content"]["weight_kg"]["buckets"] == 10
    assert raw["item"]["content"]["genres"].get("separator") == ("|" if csv else None)
    assert kinds(raw["user"]["content"]) == {"city": "category", "age": "number"}
    assert kinds(raw["user"]["context"]) == {"hour": "category", "device": "category"}
    taste, genres = raw["user"]["preference"]["taste_genres"], raw["item"]["content"]["genres"]
    assert (taste["of"], taste["table"]) == ("genres", genres["table"])
    taste, title = raw["user"]["preference"]["taste_title"], raw["item"]["content"]["title"]
    assert (taste["of"], taste["table"]) == ("title", title["table"])
    assert taste["words"] > 20  # what a profile keeps unasked: in titles "the", "of" and "a"
    recent, own = raw["user"]["preference"]["recent"], raw["item"]["preference"]["own_id"]
    assert recent["table"] == own["table"]
    assert raw["item"]["preference"]["clicks_4d"]["window"] == "4d"
    assert raw["item"]["preference"]["item_click_rate"]["aggregate"] == "rate"
    assert raw["split"]["kind"] == "by_time"


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("watch_s", "context, if known when a request comes"),
        ("rating", "named like what happens after"),
        ("outcome", "tells the label (AUC 1.00)"),
        ("country", "a fact of the user"),
        ("sku", "as good as an id"),
        ("released", "dates"),
        ("shelf", "'A' in every row"),
        ("note", "empty in every row"),
        ("popularity", "the name is taken"),
        ("net price", "rename the column"),
    ],
)
def test_what_is_left_out_is_said_with_its_reason(tmp_path: Path, column: str, why: str) -> None:
    written(write_shop(tmp_path / "shop", csv=True))
    lines = (tmp_path / "train.yaml").read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if f"left out: '{column}'" in line]
    assert len(told) == 1
    assert why in told[0]


def test_without_labels_every_row_is_a_click(tmp_path: Path) -> None:
    raw = written(write_shop(tmp_path / "shop", csv=False, interactions=("label", "outcome")))
    preference = raw["item"]["preference"]
    assert "clicks" in preference
    assert not {"shown", "item_click_rate"} & preference.keys()
    assert "click_rate" not in raw["user"]["preference"]
    assert "every row counts as a click" in (tmp_path / "train.yaml").read_text(encoding="utf-8")


def test_without_times_pairs_are_held_out_and_there_are_no_windows(tmp_path: Path) -> None:
    raw = written(write_shop(tmp_path / "shop", csv=False, interactions=("timestamp",)))
    assert raw["split"]["kind"] == "held_out_ids"
    assert not [one for one in raw["item"]["preference"].values() if "window" in one]


def test_no_user_is_held_out_where_nothing_tells_new_ones_apart(tmp_path: Path) -> None:
    raw = written(write_shop(tmp_path / "shop", csv=False, users=("city", "age")))
    assert raw["split"]["cold_users"] == 0
    assert raw["split"]["validation"] == {"users": 0}
    assert raw["split"]["cold_items"] == 0.15
    assert raw["dropout"]["user"] < raw["dropout"]["item"]


def test_a_column_split_is_used(tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "shop", csv=False)
    rows = pq.read_table(folder / "interactions.parquet")
    split = ["test" if n % 5 == 0 else "train" for n in range(len(rows))]
    pq.write_table(rows.append_column("split", pa.array(split)), folder / "interactions.parquet")
    assert written(folder)["split"] == {"kind": "given", "column": "split"}


def test_a_statistic_gives_way_to_a_column_of_its_name(tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "shop", csv=False)
    users = pq.read_table(folder / "users.parquet")
    users = users.append_column("recent", pa.array([f"r{n % 9}" for n in range(len(users))]))
    pq.write_table(users, folder / "users.parquet")
    raw = written(folder)
    assert raw["user"]["content"]["recent"] == {"kind": "category"}
    assert raw["user"]["preference"]["recent_of_log"]["aggregate"] == "last"


@pytest.mark.parametrize("csv", [False, True])
def test_what_is_written_validates_and_trains_unchanged(
    tmp_path: Path, csv: bool, capsys: Output
) -> None:
    write_shop(tmp_path / "shop", csv=csv)
    config = str(tmp_path / "train.yaml")
    assert run(["init", str(tmp_path / "shop"), "--out", config]) == DONE
    assert f"firstsight doctor {config}" in capsys.readouterr().out
    assert run(["validate", config]) == DONE
    few = ["--set", "training.epochs=1", "--set", "training.refit=false"]
    assert run(["train", config, "--out", str(tmp_path / "run"), *few]) == DONE
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_the_real_example_is_read_as_its_own_config_reads_it(tmp_path: Path) -> None:
    example = ROOT / "examples" / "kuairand"
    out = tmp_path / "train.yaml"
    assert run(["init", str(example / "data"), "--out", str(out)]) == DONE
    assert run(["validate", str(out)]) == DONE
    found = parse_yaml(out.read_text(encoding="utf-8"))
    hand = parse_yaml((example / "train.yaml").read_text(encoding="utf-8"))
    for side in ("user", "item"):
        mine, theirs = kinds(found[side]["content"]), kinds(hand[side]["content"])
        both = mine.keys() & theirs.keys()
        assert {n: mine[n] for n in both} == {n: theirs[n] for n in both}
        assert theirs.keys() == both
    assert found["user"]["context"].keys() == {"tab", "hour"}
    assert found["split"] == hand["split"]


def test_a_file_is_replaced_only_by_force(tmp_path: Path, capsys: Output) -> None:
    folder = write_shop(tmp_path / "shop", csv=True)
    out = tmp_path / "mine.yaml"
    out.write_text("precious", encoding="utf-8")
    assert run(["init", str(folder), "--out", str(out)]) == MISTAKE
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "precious"
    assert run(["init", str(folder), "--out", str(out), "--force"]) == DONE
    assert "tower" in parse_yaml(out.read_text(encoding="utf-8"))


def _without_users(folder: Path) -> None:
    (folder / "users.csv").unlink()


def _both_sorts(folder: Path) -> None:
    pq.write_table(pa.table(shop()["users"]), folder / "users.parquet")


def _no_ids(folder: Path) -> None:
    (folder / "items.csv").write_text("id,maker\ni1,m1\n", encoding="utf-8")


def _twice(folder: Path) -> None:
    (folder / "users.csv").write_text("user_id,city\nu1,c\nu2,c\nu1,d\n", encoding="utf-8")


def _strange_label(folder: Path) -> None:
    path = folder / "interactions.csv"
    path.write_text("user_id,item_id,label\nu1,i1,1\nu2,i2,5\n", encoding="utf-8")


def _empty(folder: Path) -> None:
    (folder / "interactions.csv").write_text("user_id,item_id\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_users, "no users.parquet and no users.csv"),
        (_both_sorts, "both users.parquet and users.csv"),
        (_no_ids, "items.csv: no column 'item_id'; the columns are id, maker"),
        (_twice, "id 'u1' stands in row 1 and again in row 3"),
        (_strange_label, "column 'label', row 2: got '5', expected 0 or 1"),
        (_empty, "interactions.csv: got no row"),
    ],
)
def test_tables_that_cannot_be_used_are_named_with_their_fault(
    tmp_path: Path, capsys: Output, spoil: Any, told: str
) -> None:
    folder = write_shop(tmp_path / "shop", csv=True)
    spoil(folder)
    assert run(["init", str(folder), "--out", str(tmp_path / "train.yaml")]) == MISTAKE
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "train.yaml").exists()


@pytest.mark.parametrize("where", ["data", "out"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: Output, where: str) -> None:
    folder = write_shop(tmp_path / "shop", csv=True)
    data = folder if where == "out" else tmp_path / "none"
    out = tmp_path / ("none/x.yaml" if where == "out" else "x.yaml")
    assert run(["init", str(data), "--out", str(out)]) == MISTAKE
    assert "no such folder" in capsys.readouterr().err
