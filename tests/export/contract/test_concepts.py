"""Concepts tell a new entity what training knew, and never overrule what is known of it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from export.contract.concepts import ConceptTable, read_concepts
from export.contract.errors import DataError
from export.contract.schema import Schema
from export.contract.side import Record, Side
from tests.tiny import tiny_schema

RATE = {"kind": "number", "aggregate": "rate", "by": "maker", "mean": 0.3, "scale": 0.1}
SCHEMA = tiny_schema().model_copy(
    update={
        "item": Side.model_validate(
            {"content": {"maker": {"kind": "category"}, "maker_rate": RATE, "made_n": RATE}}
        ),
    }
)
TABLE = ConceptTable(
    SCHEMA, {("item", "maker_rate"): {"m1": 0.5, "7": 0.25}, ("item", "made_n"): {"m1": 0.0}}
)


def test_new_entity_has_what_its_concept_has() -> None:
    joined = TABLE.join("item", {"maker": "m1"})
    assert joined == {"maker": "m1", "maker_rate": 0.5, "made_n": 0.0}
    assert TABLE.join("item", {"maker": "7"}) == {"maker": "7", "maker_rate": 0.25}


@pytest.mark.parametrize("record", [{}, {"maker": "nobody"}])
def test_unknown_concept_tells_nothing(record: dict[str, str]) -> None:
    assert TABLE.join("item", record) == record


def test_value_that_is_given_stays() -> None:
    assert TABLE.join("item", {"maker": "m1", "maker_rate": 0.9})["maker_rate"] == 0.9


def test_side_without_such_features_is_left_as_it_is() -> None:
    record = {"country": "de"}
    assert TABLE.join("user", record) is record


def test_entity_that_training_knew_keeps_its_own_value_while_it_is_of_the_same_concept() -> None:
    own: Record = {"maker": "m1", "maker_rate": 0.1}  # without its own rows; made_n is missing
    assert TABLE.join("item", {"maker": "m1"}, own) == own
    moved = TABLE.join("item", {"maker": "7"}, own)
    assert moved == {"maker": "7", "maker_rate": 0.25}


def test_file_gives_the_table_back(tmp_path: Path) -> None:
    TABLE.write(path := tmp_path / "concepts.parquet")
    assert read_concepts(path, SCHEMA) == TABLE


def test_schema_without_concepts_needs_no_file(tmp_path: Path) -> None:
    schema: Schema = tiny_schema()
    path = tmp_path / "concepts.parquet"
    ConceptTable(schema).write(path)
    assert not path.exists()
    assert read_concepts(path, schema).values == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"feature": "maker"}, "row 2: got item.maker, 'b': 0.5, expected .*item.maker_rate"),
        ({"side": "user"}, "row 2: got user.maker_rate"),
        ({"word": None}, "row 2: got item.maker_rate, None"),
        ({"value": float("nan")}, "row 2: .*: nan, expected a word and a finite value"),
        ({"value": "much"}, "expected columns side, feature, word, value"),
    ],
)
def test_file_of_anything_else_is_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    row = {"side": "item", "feature": "maker_rate", "word": "a", "value": 0.5}
    second = row | {"word": "b"} | change
    columns = {name: [row[name], second[name]] for name in row}
    if "much" in change.values():
        columns["value"] = ["little", "much"]
    pq.write_table(pa.table(columns), path := tmp_path / "concepts.parquet")
    with pytest.raises(DataError, match=says):
        read_concepts(path, SCHEMA)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"concepts\.parquet: no such file"):
        read_concepts(tmp_path / "concepts.parquet", SCHEMA)
