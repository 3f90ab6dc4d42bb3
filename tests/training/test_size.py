from pathlib import Path
from typing import Any

import pytest

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from export.contract.schema import Schema, read_schema
from tests.training.conftest import world_config
from training import size
from training.config import TrainConfig, parse_config, read_config
from training.prepare import prepare
from training.size import check_size, table_sizes


def fitted(**features: dict[str, Any]) -> tuple[TrainConfig, Schema]:
    raw = world_config(Path("data"))
    other = {"content": {"age": {"kind": "number", "standardise": False}}}
    raw |= {"user": other, "item": {"content": features}}
    config = parse_config(raw, Path("train.yaml"))
    return config, Schema(user=config.user, item=config.item, dim=16)


def hashed(buckets: int, **options: Any) -> dict[str, Any]:
    return {"kind": "category", "vocabulary": "hashed", "buckets": buckets, **options}


def test_a_tower_beyond_two_gib_is_refused_with_what_helps() -> None:
    config, schema = fitted(shop=hashed(40_000_000), page=hashed(2_000_000, dim=32))
    with pytest.raises(ConfigError) as caught:
        check_size(config, schema)
    message = str(caught.value)
    assert "item tower: its tables take 2.6 GiB, one ONNX file holds 2" in message
    assert "'item.shop' (40,000,003 rows of 16), 'item.page' (2,000,003 rows of 32)" in message
    for remedy in ("smaller dim", "higher min_count", "hashed with fewer buckets"):
        assert remedy in message


@pytest.mark.parametrize("option", [{"dim": 8}, {"buckets": 20_000_000}])
def test_each_remedy_helps(option: dict[str, Any]) -> None:
    check_size(*fitted(shop=hashed(**{"buckets": 40_000_000, **option})))


def test_a_shared_table_counts_once_a_file() -> None:
    options = {"table": "word"}
    config, schema = fitted(a=hashed(1000, **options), b=hashed(1000, **options))
    assert [(one.table, one.size_bytes) for one in table_sizes(config, schema, "item")] == [
        ("word", 4 * 1003 * 16)
    ]


def test_a_run_is_refused_before_it_trains(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "ONNX_LIMIT", size.NETWORKS + 1000)
    with pytest.raises(ConfigError, match="user tower: its tables take"):
        prepare(parse_config(world_config(world), world / "train.yaml"))


def test_the_size_is_that_of_the_file(trained: RunLayout, bundle: Path) -> None:
    config, schema = read_config(trained.config), read_schema(trained.schema)
    for side in ("user", "item"):
        told = sum(one.size_bytes for one in table_sizes(config, schema, side))
        file = (bundle / f"{side}_tower.onnx").stat().st_size
        assert told < file < told + 100_000  # graph and networks
