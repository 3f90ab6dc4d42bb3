"""The schema: names, groups, parsing of records, and the file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from export.contract.errors import RecordError, SchemaError
from export.contract.schema import Schema, hash_of, read_schema
from export.contract.sharing import table_of
from export.contract.side import TAKEN_NAMES, Side
from tests.export.contract.encoded import OTHER, schema_of
from tests.tiny import tiny_schema

CATEGORY = {"kind": "category"}
COUNTED: dict[str, Any] = {
    "content": {"size": {"kind": "number"}},
    "preference": {
        "clicks": {"kind": "number", "aggregate": "count", "where": {"label": 1}},
        "met": {"kind": "number", "aggregate": "count"},
    },
}


class TestSide:
    @pytest.mark.parametrize("name", sorted(TAKEN_NAMES))
    def test_taken_name_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationError, match=f"'{name}' is taken"):
            Side.model_validate({"content": {name: CATEGORY}})

    @pytest.mark.parametrize("name", ["", "a.b", "a b", "a/b", "-a", "a" * 65, "a\x1f"])
    def test_name_of_other_characters_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationError, match="feature name"):
            Side.model_validate({"content": {name: CATEGORY}})

    @pytest.mark.parametrize("name", ["a", "a-b_c", "größe", "价格", "1d"])
    def test_name_may_be_of_any_letters(self, name: str) -> None:
        assert list(Side.model_validate({"content": {name: CATEGORY}}).features) == [name]

    def test_feature_stands_in_one_group_only(self) -> None:
        with pytest.raises(ValidationError, match="'a' stands in two groups"):
            Side.model_validate({"content": {"a": CATEGORY}, "preference": {"a": CATEGORY}})

    @pytest.mark.parametrize("group", ["content", "context"])
    def test_aggregate_belongs_to_preference(self, group: str) -> None:
        with pytest.raises(ValidationError, match="belongs to group 'preference'"):
            Side.model_validate({group: {"a": {"kind": "number", "aggregate": "count"}}})

    @pytest.mark.parametrize("by", ["maker", "size", "made", "nothing"])
    @pytest.mark.parametrize("group", ["content", "context", "preference"])
    def test_statistic_by_a_concept_belongs_to_content_with_its_category(
        self, group: str, by: str
    ) -> None:
        rate = {"kind": "number", "aggregate": "rate", "by": by}
        groups: dict[str, dict[str, object]] = {
            "content": {"maker": CATEGORY, "size": {"kind": "number"}},
            "context": {},
            "preference": {"made": CATEGORY},
        }
        groups[group] = groups[group] | {"made_rate": rate}
        if group == "content" and by == "maker":
            assert Side.model_validate(groups).concepts == {"made_rate": "maker"}
            return
        says = "of kind category" if group == "content" else "with 'by' to group 'content'"
        with pytest.raises(ValidationError, match=f"'made_rate': .*{says}"):
            Side.model_validate(groups)

    def test_inputs_are_listed_in_order_and_empty_ones_left_out(self) -> None:
        inputs = [(one.name, one.dtype, one.shape) for one in tiny_schema().user.inputs]
        assert inputs == [
            ("strings", "string", ("batch", 2)),
            ("numbers", "float32", ("batch", 1)),
            ("taste", "string", ("batch", "taste.length")),
            ("taste.weights", "float32", ("batch", "taste.length")),
            ("recent", "string", ("batch", "recent.length")),
            ("present", "bool", ("batch", 1)),
        ]
        assert [one.name for one in OTHER.inputs] == ["numbers"]

    def test_present_is_one_column(self) -> None:
        packed = tiny_schema().user.pack([{}, {}], [True, False])
        assert packed["present"].tolist() == [[True], [False]]

    def test_preference_is_known_by_any_of_its_features(self) -> None:
        user = tiny_schema().user
        assert user.has_preference(user.parse({"recent": []}))
        assert not user.has_preference(user.parse({"country": "de", "tab": "1", "taste": None}))

    @pytest.mark.parametrize(
        ("record", "interactions", "counts"),
        [
            ({"clicks": 2.0, "met": 4.0}, None, False),
            ({"clicks": 2.0, "met": 5.0}, None, True),
            ({"clicks": 2.0}, None, True),
            ({"clicks": 2.0}, 4, False),
            ({"clicks": 2.0, "met": 4.0}, 5, True),
            ({"met": 7.0}, None, True),
            ({"size": 7.0}, 9, False),
        ],
    )
    def test_preference_counts_from_the_interactions_asked_for(
        self, record: dict[str, float], interactions: int | None, counts: bool
    ) -> None:
        side = Side.model_validate(COUNTED | {"present_when": "interactions >= 5"})
        assert (side.counter, side.least) == ("met", 5)
        assert side.has_preference(record, interactions) == counts
        assert Side.model_validate(COUNTED).has_preference(record, interactions) == (
            record.keys() != {"size"}
        )

    @pytest.mark.parametrize("when", ["5", "interactions > 5", "interactions >= 0", "clicks >= 2"])
    def test_other_conditions_of_presence_are_refused(self, when: str) -> None:
        with pytest.raises(ValidationError, match="expected 'interactions >= n' with a whole"):
            Side.model_validate(COUNTED | {"present_when": when})

    @pytest.mark.parametrize("instead", [{"where": {"tab": 1}}, {"window": "7d"}, None])
    def test_condition_of_presence_needs_the_count_of_all(
        self, instead: dict[str, object] | None
    ) -> None:
        met = {"kind": "number", "aggregate": "count", **(instead or {})}
        preference = {"clicks": {"kind": "number"}, **({"met": met} if instead else {})}
        side = {"preference": preference, "present_when": "interactions >= 5"}
        with pytest.raises(ValidationError, match="present_when: .* aggregate: count"):
            Side.model_validate(side)


class TestParse:
    def test_null_and_absent_features_stay_out(self) -> None:
        user = tiny_schema().user
        assert user.parse({"country": None, "age": 30}) == {"age": 30.0}

    def test_every_fault_is_named(self) -> None:
        record = {"age": "x", "colour": 1, "taste": {"a": -1}, "country": "de", "recent": ["\x1f"]}
        with pytest.raises(RecordError) as error:
            tiny_schema().user.parse(record)
        assert [fault.feature for fault in error.value.faults] == [
            "age",
            "colour",
            "taste",
            "recent",
        ]
        assert "feature 'age': got 'x', expected a finite number or null" in str(error.value)
        assert "one of the known features: country, age, tab, recent, taste" in str(error.value)

    def test_long_value_is_cut_in_the_message(self) -> None:
        with pytest.raises(RecordError) as error:
            tiny_schema().user.parse({"age": "x" * 1000})
        assert len(error.value.faults[0].got) == 80

    def test_text_holds_a_list_only_in_a_table(self) -> None:
        item = tiny_schema().item
        assert item.parse({"topics": "a,b"}, cells=True) == {"topics": ["a", "b"]}
        with pytest.raises(RecordError, match="a list of non-empty words"):
            item.parse({"topics": "a,b"})


class TestSchema:
    def test_file_gives_the_schema_back(self, tmp_path: Path) -> None:
        schema = tiny_schema()
        schema.write(tmp_path / "schema.json")
        assert read_schema(tmp_path / "schema.json") == schema
        assert hash_of((tmp_path / "schema.json").read_bytes()) == schema.hash

    @pytest.mark.parametrize(
        "update",
        [
            {"dim": 9},
            {"rules": {}},
            {"tables": {**tiny_schema().tables, "user.tab": ("2", "1")}},
            {"user": tiny_schema().user.model_copy(update={"context": {}})},
        ],
    )
    def test_hash_tells_schemas_apart(self, update: dict[str, Any]) -> None:
        assert tiny_schema().model_copy(update=update).hash != tiny_schema().hash

    def test_hash_heeds_the_order_of_features(self) -> None:
        one, two = {"a": CATEGORY, "b": CATEGORY}, {"b": CATEGORY, "a": CATEGORY}
        tables: dict[str, list[str]] = {"item.a": [], "item.b": []}
        assert schema_of(one, tables).hash != schema_of(two, tables).hash

    def test_hash_heeds_no_spaces(self) -> None:
        text = tiny_schema().model_dump_json(exclude_none=True)
        assert hash_of(json.dumps(json.loads(text), indent=3)) == tiny_schema().hash

    def test_rows_are_the_words_and_three_reserved_or_the_buckets(self) -> None:
        features: dict[str, Any] = {"c": CATEGORY, "n": {"kind": "number", "buckets": [1.0, 2.0]}}
        schema = schema_of(features, {"item.c": ["a", "b"]})
        assert (schema.rows("item.c"), schema.rows("item.n")) == (5, 6)
        assert table_of("item", "n", schema.item.features["n"]) == "item.n"

    def test_words_are_those_of_each_feature(self) -> None:
        words = tiny_schema(2).words("user")
        assert list(words) == ["country", "tab", "recent", "taste"]
        assert words["recent"] == ("i0", "i1")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"tables": {}}, "'user.country' is missing"),
            ({"tables": {**tiny_schema().tables, "item": ["a", "a"]}}, "holds a word twice"),
            ({"tables": {**tiny_schema().tables, "item": [""]}}, "reserved"),
            ({"tables": {**tiny_schema().tables, "item": ["a\x1f"]}}, "reserved"),
            ({"user": {}}, "at least one feature"),
            ({"user": {"content": {"a": {"kind": "number"}}}}, "never fitted"),
            ({"dim": 0}, "greater than"),
            ({"format": 2}, "format"),
            ({"similarity": "dot"}, "similarity"),
            ({"colour": 1}, "colour"),
        ],
    )
    def test_schema_that_is_not_whole_is_refused(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        path = tmp_path / "schema.json"
        path.write_text(json.dumps(tiny_schema().model_dump(mode="json") | change))
        with pytest.raises(SchemaError, match=message) as error:
            read_schema(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"null"])
    def test_file_that_is_no_schema_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "schema.json").write_bytes(content)
        with pytest.raises(SchemaError, match=r"schema\.json"):
            read_schema(tmp_path / "schema.json")

    def test_absent_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaError, match="No such file"):
            read_schema(tmp_path / "schema.json")

    def test_learned_values_keep_every_bit_in_the_file(self, tmp_path: Path) -> None:
        edges = [float(edge) for edge in np.sort(np.random.default_rng(1).normal(size=9))]
        features: dict[str, Any] = {
            "n": {"kind": "number", "mean": 0.1 + 0.2, "scale": 1 / 3},
            "b": {"kind": "number", "buckets": edges},
        }
        schema = schema_of(features)
        schema.write(tmp_path / "schema.json")
        assert read_schema(tmp_path / "schema.json") == schema

    def test_copy_forgets_what_was_worked_out_of_the_original(self) -> None:
        schema = tiny_schema()
        before = schema.hash, schema.user.features
        user = schema.user.model_copy(update={"context": {}})
        assert "tab" in before[1]
        assert "tab" not in user.features
        assert schema.model_copy(update={"user": user}).hash != before[0]

    def test_schema_cannot_be_changed(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            tiny_schema().dim = 3  # type: ignore[misc]


def test_unknown_table_names_itself() -> None:
    schema = Schema.model_construct(user=OTHER, item=OTHER, dim=1, tables={})
    with pytest.raises(SchemaError, match=r"'user\.other'"):
        schema.rows("user.other")
