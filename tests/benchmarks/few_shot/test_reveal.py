from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.few_shot.reveal import FOLDS, LEAST, SHOTS, held_out, reveal


def clicks(folder: Path) -> list[tuple[str, str, str]]:
    rows = pq.read_table(folder / "interactions.parquet").to_pylist()
    return [(one["user_id"], one["item_id"], one["split"]) for one in rows if one["label"] > 0]


def test_as_many_clicks_are_revealed_as_are_dealt_and_those_behind_the_fiftieth_test(
    source: Path, tmp_path: Path
) -> None:
    shots = reveal(source, tmp_path / "data", 1)
    before = Counter(item for _, item, split in clicks(source) if split == "train")
    parts = Counter((item, split) for _, item, split in clicks(tmp_path / "data"))
    assert set(SHOTS) <= set(shots.values())
    for item, revealed in shots.items():
        assert parts[item, "train"] == revealed
        assert parts[item, "unused"] == max(SHOTS) - revealed
        assert parts[item, "test"] == before[item] - max(SHOTS)


def test_rows_that_test_in_the_source_or_were_not_clicked_are_left_out(
    source: Path, tmp_path: Path
) -> None:
    reveal(source, tmp_path / "data", 0)
    rows = pq.read_table(tmp_path / "data" / "interactions.parquet")
    train = sorted((user, item) for user, item, split in clicks(source) if split == "train")
    pairs = zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True)
    assert sorted(pairs) == train


def test_every_item_with_enough_clicks_is_in_one_fold(source: Path) -> None:
    counts = Counter(item for _, item, split in clicks(source) if split == "train")
    drawn = [item for fold in range(FOLDS) for item in held_out(counts, fold)]
    assert sorted(drawn) == sorted(item for item, count in counts.items() if count >= LEAST)
    assert len(drawn) < len(counts)
