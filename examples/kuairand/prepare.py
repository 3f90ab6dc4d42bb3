"""Turns KuaiRand source tables into the three tables of a data folder, and the cold ids.

python examples/kuairand/prepare.py SOURCE --out DATA

SOURCE holds exposures*.parquet, history.parquet (or history_until_*.parquet),
history_users.parquet, users.parquet, videos.parquet and cold_split.parquet; data/README.md
says where they come from and what each table written means. The label is `long_view`.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

TEXT_OF_USER = [
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{i}" for i in range(18)),
]
NUMBERS_OF_USER = ["follow_user_num", "fans_user_num", "friend_user_num", "register_days"]
TEXT_OF_VIDEO = [
    "author_id",
    "video_type",
    "upload_dt",
    "upload_type",
    "visible_status",
    "music_id",
    "music_type",
]
NUMBERS_OF_VIDEO = ["server_width", "server_height"]
INTERACTIONS = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("timestamp", pa.float64()),
        ("order", pa.int32()),
        ("label", pa.int8()),
        ("split", pa.string()),
        ("tab", pa.string()),
        ("hour", pa.string()),
    ]
)
Columns = dict[str, Any]
Counts = dict[str, int]


def prepare(source: Path, out: Path) -> Counts:
    """Write interactions, users, items and cold into `out`; return what was counted.

    Raises FileNotFoundError when a source table is missing, ValueError when a history row's
    user has no row in history_users.
    """
    cold = pq.read_table(_one(source, "cold_split.parquet"))
    is_user = pc.equal(cold["kind"], "user")
    cold_users = cold["id"].filter(is_user).to_numpy()
    cold_videos = cold["id"].filter(pc.invert(is_user)).to_numpy()

    history = read_history(source)
    exposures, counts = read_exposures(source)
    rows = {name: np.concatenate([history[name], exposures[name]]) for name in history}
    is_cold = np.isin(rows["user"], cold_users) | np.isin(rows["video"], cold_videos)
    rows["split"] = np.where(rows["test"], "test", np.where(is_cold, "unused", "train"))
    interactions = interactions_table(rows)

    out.mkdir(parents=True, exist_ok=True)
    _write(interactions, out / "interactions.parquet")
    users = users_table(pq.read_table(_one(source, "users.parquet")))
    _write(users, out / "users.parquet")
    items = items_table(pq.read_table(_one(source, "videos.parquet")))
    _write(items, out / "items.parquet")
    kinds = pc.if_else(is_user, "user", "item")
    _write(pa.table({"kind": kinds, "id": _text(cold["id"])}), out / "cold.parquet")

    counts |= {"history rows": len(history["user"]), "rows written": interactions.num_rows}
    for split in ("train", "unused", "test"):
        counts[f"{split} rows"] = int((rows["split"] == split).sum())
    counts |= slice_counts(rows, cold_users, cold_videos)
    return counts | {"users": users.num_rows, "items": items.num_rows}


def read_history(source: Path) -> Columns:
    """Exposures before 25 April: no time is known, only the place from the user's end.

    A row is put `pos_from_end` (-1 is the newest) seconds from the user's last exposure: the
    order within a user is exact, the time across users is an approximation.
    """
    table = pq.read_table(_one(source, "history_until_*.parquet", "history.parquet"))
    last = pq.read_table(_one(source, "history_users.parquet")).sort_by("user_id")
    users = table["user_id"].to_numpy()
    known = last["user_id"].to_numpy()
    at = np.minimum(np.searchsorted(known, users), len(known) - 1)
    if (known[at] != users).any():
        raise ValueError("history.parquet: a user_id has no row in history_users.parquet")
    time_ms = last["last_time_ms"].to_numpy()[at] + 1000 * table["pos_from_end"].to_numpy().astype(
        np.int64
    )
    unknown = np.full(len(users), -1)
    return {
        "user": users,
        "video": table["video_id"].to_numpy(),
        "time_ms": time_ms,
        "label": table["long_view"].to_numpy(),
        "test": np.zeros(len(users), dtype=bool),
        "tab": unknown,
        "hour": unknown,
    }


def read_exposures(source: Path) -> tuple[Columns, Counts]:
    """Exposures from 25 April on, each once; the counts are of repeats dropped.

    An exact repeat equals an earlier row in every source column. A row logged again has the
    user, video and millisecond of an earlier row and differs elsewhere (mostly in the hour).
    """
    table = pq.read_table(_one(source, "exposures*.parquet"))
    once = _first_of(table, table.column_names)
    kept = _first_of(once, ["user_id", "video_id", "time_ms"])
    counts = {
        "exposure rows in the source": table.num_rows,
        "exact repeats dropped": table.num_rows - once.num_rows,
        "rows logged again dropped": once.num_rows - kept.num_rows,
    }
    columns = {
        "user": kept["user_id"].to_numpy(),
        "video": kept["video_id"].to_numpy(),
        "time_ms": kept["time_ms"].to_numpy(),
        "label": kept["long_view"].to_numpy(),
        "test": pc.equal(kept["window"], "test").to_numpy(),
        "tab": kept["tab"].to_numpy(),
        "hour": kept["hourmin"].to_numpy() // 100,
    }
    return columns, counts


def interactions_table(rows: Columns) -> pa.Table:
    """Rows sorted by user and time; `order` is 0, 1, ... per user, equal where time is equal."""
    by_time = np.lexsort((rows["video"], rows["time_ms"], rows["user"]))
    rows = {name: values[by_time] for name, values in rows.items()}
    starts = np.ones(len(by_time), dtype=bool)
    starts[1:] = rows["user"][1:] != rows["user"][:-1]
    moved = starts.copy()
    moved[1:] |= rows["time_ms"][1:] != rows["time_ms"][:-1]
    moments = np.cumsum(moved)
    first_of_user = moments[starts][np.cumsum(starts) - 1]
    columns = [
        _text(pa.array(rows["user"])),
        _text(pa.array(rows["video"])),
        pa.array(rows["time_ms"] / 1000),
        pa.array(moments - first_of_user, type=pa.int32()),
        pa.array(rows["label"], type=pa.int8()),
        pa.array(rows["split"], type=pa.string()),
        _text(pa.array(rows["tab"], mask=rows["tab"] < 0)),
        _text(pa.array(rows["hour"], mask=rows["hour"] < 0)),
    ]
    return pa.table(columns, schema=INTERACTIONS)


def users_table(source: pa.Table) -> pa.Table:
    """user_id and features: codes and ranges as text, counts as float32."""
    columns = {"user_id": _text(source["user_id"])}
    columns |= {name: _text(source[name]) for name in TEXT_OF_USER}
    columns |= {name: source[name].cast(pa.float32()) for name in NUMBERS_OF_USER}
    return pa.table(columns)


def items_table(source: pa.Table) -> pa.Table:
    """item_id and features: codes as text, sizes as float32, `tags` a list of category ids."""
    columns = {"item_id": _text(source["video_id"])}
    columns |= {name: _text(source[name]) for name in TEXT_OF_VIDEO}
    columns |= {name: source[name].cast(pa.float32()) for name in NUMBERS_OF_VIDEO}
    columns["duration_s"] = pc.divide(source["video_duration"], 1000.0).cast(pa.float32())
    tags = [text.split(",") if text else [] for text in source["tag"].to_pylist()]
    columns["tags"] = pa.array(tags, type=pa.list_(pa.string()))
    return pa.table(columns)


def slice_counts(rows: Columns, cold_users: np.ndarray, cold_videos: np.ndarray) -> Counts:
    """Rows and long views of each slice of the test window."""
    user, video = np.isin(rows["user"], cold_users), np.isin(rows["video"], cold_videos)
    slices = {
        "warm": ~user & ~video,
        "cold_item": ~user & video,
        "cold_user": user & ~video,
        "cold_both": user & video,
    }
    counts = {}
    for name, member in slices.items():
        member = member & rows["test"]
        counts[f"test {name} rows"] = int(member.sum())
        counts[f"test {name} long views"] = int(rows["label"][member].sum())
    return counts


def _one(folder: Path, *patterns: str) -> Path:
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if len(found) != 1:
        names = [path.name for path in found] or "none"
        raise FileNotFoundError(f"{folder}: expected one {' or '.join(patterns)}, got {names}")
    return found[0]


def _first_of(table: pa.Table, columns: list[str]) -> pa.Table:
    """Keep the rows that equal no earlier row in `columns`, in their order."""
    numbered = table.select(columns).append_column("row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(columns).aggregate([("row", "min")])["row_min"]
    return table.take(np.sort(first.to_numpy()))


def _text(column: pa.Array) -> pa.Array:
    """Write ids and codes as text; floats (whole numbers beside nulls) lose ".0"."""
    if pa.types.is_floating(column.type):
        column = column.cast(pa.int64())
    return column.cast(pa.string())


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", compression_level=19)


def main(
    source: Annotated[Path, typer.Argument(help="folder of the source tables")],
    out: Annotated[Path, typer.Option(help="folder to write the data into")],
) -> None:
    """Prepare a KuaiRand data folder and print what was counted."""
    for name, count in prepare(source, out).items():
        typer.echo(f"{count:>9,} {name}")


if __name__ == "__main__":
    typer.run(main)
