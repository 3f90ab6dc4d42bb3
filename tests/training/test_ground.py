from pathlib import Path
from typing import Any

from export.contract.schema import Schema
from export.contract.side import Side
from tests.training.tables import write
from training.data import read_data
from training.ground import content_columns


def test_texts_and_crosses_are_words_of_content_each_once_beside_tags_and_categories(
    tmp_path: Path,
) -> None:
    kinds = {"title": "text", "tags": "tags", "maker": "category", "price": "number"}
    content: dict[str, dict[str, Any]] = {
        name: {"kind": kind} for name, kind in kinds.items() if kind != "number"
    }
    content["shop"] = {"kind": "category", "vocabulary": "hashed", "buckets": 1}
    content["pair"] = {"kind": "cross", "of": ["maker", "shop"]}
    item = Side.model_validate(
        {"content": {**content, "price": {"kind": "number", "mean": 0, "scale": 1}}}
    )
    user = Side.model_validate({"content": {"city": {"kind": "category", "table": "city"}}})
    config = write(
        tmp_path,
        interactions={"user_id": ["u1"], "item_id": ["i1"]},
        users={"user_id": ["u1"], "city": ["x"]},
        items={
            "item_id": ["i1", "i2"],
            "title": ["The Sea, the sea", None],
            "tags": [["a", "b"], []],
            "maker": ["m", None],
            "shop": ["s", "t"],
            "price": [1.0, 2.0],
        },
    )
    tables = dict.fromkeys(("title", "tags", "maker", "pair", "city"), ())
    schema = Schema.model_validate(
        {
            "user": user.model_dump(),
            "item": item.model_dump(),
            "dim": 4,
            "tables": {f"item.{n}" if n != "city" else n: words for n, words in tables.items()},
        }
    )
    assert content_columns(read_data(config, user, item), schema.item.content) == {
        "title": [["the", "sea"], []],
        "tags": [["a", "b"], []],
        "maker": [["m"], []],
        "shop": [["s"], ["t"]],
        "pair": [["m\x1f0"], []],  # of the bucket, as in a tower; none where one is missing
    }
