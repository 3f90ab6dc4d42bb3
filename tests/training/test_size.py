from pathlib import Path
from typing import Any

import pytest

from export.contract.encoder import build_encoder
from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from tests.training.conftest import world_config
from training import size
from training.config import TrainConfig, parse_config, read_config
from training.prepare import prepare
from training.size import check_size, table_sizes


def fitted(
    tables: dict[str, tuple[str, ...]] | None = None, **features: dict[str, Any]
) -> tuple[TrainConfig, Schema]:
    raw = world_config(Path("data"))
    other = {"content": {"age": {"kind": "number", "standardise": False}}}
    raw |= {"user": other, "item": {"content": features}}
    config = parse_config(raw, Path("train.yaml"))
    schema = Schema(user=config.user, item=config.item, dim=16, tables=tables or {})
    return config, schema


def hashed(buckets: int, **options: Any) -> dict[str, Any]:
    return {"kind": "category", "vocabulary": "hashed", "buckets": buckets, **options}


def test_a_table_of_any_size_fits_since_it_lies_beside_the_file() -> None:
    config, schema = fitted(shop=hashed(100_000_000))
    (table,) = table_sizes(config, schema, "item")
    assert table.rows_bytes > 2**32
    assert table.file_bytes == 0
    check_size(config, schema)


def test_words_beyond_one_file_are_refused_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"item.shop": ("x" * 600, "y" * 600), "item.maker": ("z" * 300,)}
    category = {"kind": "category"}
    config, schema = fitted(words, shop=category, maker=category)
    monkeypatch.setattr(size, "LARGE_TABLE", 200)
    monkeypatch.setattr(size, "LARGEST_FILE", size.NETWORKS + 1539)
    with pytest.raises(ConfigError) as caught:
        check_size(config, schema)
    message = str(caught.value)
    assert "item tower: words and tables below" in message
    assert "'item.shop' (5 rows of 16, 1,226 bytes of words), 'item.maker' (4 rows" in message
    for remedy in ("higher min_count", "vocabulary: hashed", "smaller dim"):
        assert remedy in message
    monkeypatch.setattr(size, "LARGEST_FILE", size.NETWORKS + 1540)
    check_size(config, schema)


def test_many_tables_that_are_not_large_count(monkeypatch: pytest.MonkeyPatch) -> None:
    config, schema = fitted(shop=hashed(1000), page=hashed(2000, dim=4))
    assert [one.file_bytes for one in table_sizes(config, schema, "item")] == [64_192, 32_048]
    monkeypatch.setattr(size, "LARGEST_FILE", size.NETWORKS + 64_192 + 32_047)
    with pytest.raises(ConfigError, match="item tower"):
        check_size(config, schema)
    monkeypatch.setattr(size, "LARGE_TABLE", 64_192)
    check_size(config, schema)


def test_a_shared_table_counts_once_a_tower_and_its_words_once_a_feature() -> None:
    options = {"kind": "category", "table": "word"}
    config, schema = fitted({"word": ("red", "blue")}, a=options, bc=options)
    words = 2 * (3 + 4 + 2 * size.KEY) + 2 * len("a|bc|")
    assert [
        (one.table, one.rows_bytes, one.words_bytes) for one in table_sizes(config, schema, "item")
    ] == [("word", 4 * 5 * 16, words)]


def test_a_run_is_refused_before_it_trains(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "LARGEST_FILE", size.NETWORKS + 1000)
    with pytest.raises(ConfigError, match="user tower: words and tables"):
        prepare(parse_config(world_config(world), world / "train.yaml"))


def test_the_size_is_that_of_the_file(trained: RunLayout, bundle: Path) -> None:
    config, schema = read_config(trained.config), read_schema(trained.schema)
    for side in ("user", "item"):
        told = sum(one.file_bytes for one in table_sizes(config, schema, side))
        file = (bundle / f"{side}_tower.onnx").stat().st_size
        assert told < file < told + 100_000  # graph and networks


def test_words_take_what_is_told() -> None:
    words = tuple(f"a rather long word {number:05}" for number in range(20_000))
    category, tags = {"kind": "category", "table": "w"}, {"kind": "tags", "table": "w"}
    config, schema = fitted({"w": words}, a_longer_name=category, bag=tags)
    (told,) = table_sizes(config, schema, "item")
    file = build_encoder(schema, "item").ByteSize()
    assert 0.9 * told.words_bytes < file < told.words_bytes
