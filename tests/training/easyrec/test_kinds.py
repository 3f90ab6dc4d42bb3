from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from export.contract.features import Feature
from tests.training.easyrec.made import (
    DROPOUTNET,
    FEATURES,
    TRAIN,
    data_config,
    easyrec,
    plan_of,
    refused,
    with_computed,
)
from training.easyrec.plan import Plan

AS_GIVEN = {"kind": "category", "dim": 8}
WORDS = "hash_bucket_size: 30"
HASHED = {"vocabulary": "hashed", "buckets": 30}


def with_feature(options: str, folder: Path, name: str = "city") -> Plan:
    """Return the plan of the shop with its feature `name` described otherwise."""
    kept = [one for one in FEATURES.split("feature_configs")[1:] if f"names: '{name}'" not in one]
    if name == "city":
        kept = [one for one in kept if "age_city" not in one]
    text = "".join(f"feature_configs{one}" for one in [*kept, f" {{ {options} }}\n"])
    model = DROPOUTNET.replace(", 'age_city'", "") if name == "city" else DROPOUTNET
    return plan_of(TRAIN + data_config() + text + model, folder)


def became(options: str, folder: Path) -> dict[str, Any]:
    """Return what a feature `city` of the user's content becomes."""
    plan = with_feature(f"input_names: 'city' {options}", folder)
    assert refused(plan) == []
    choice = plan.sides["user"].groups["content"]["city"]
    TypeAdapter(Feature).validate_python(choice.options)
    return choice.options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("hash_bucket_size: 30", HASHED),
        ("num_buckets: 9", {"min_count": 1}),
        ("vocab_list: ['a', 'b']", {"vocabulary": "given", "words_from": ["a", "b"]}),
        ("vocab_file: 'words.txt'", {"vocabulary": "given", "words_from": "words.txt"}),
        ("ev_params { filter_freq: 5 }", {"min_count": 5}),
        ("ev_params {}", {"min_count": 1}),
        ("", {}),
        ("hash_bucket_size: 0 num_buckets: 9", {"min_count": 1}),
    ],
)
@pytest.mark.parametrize(
    ("type_", "own"),
    [
        ("IdFeature", {"kind": "category"}),
        ("TagFeature", {"kind": "tags", "separator": "|"}),
        ("SequenceFeature", {"kind": "sequence", "separator": "|"}),
    ],
)
def test_every_vocabulary_is_mapped_for_every_type_of_words(
    type_: str, own: dict[str, Any], options: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    found = became(f"feature_type: {type_} embedding_dim: 8 {options}", tmp_path)
    assert found == {**own, **expected, "dim": 8}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("feature_type: RawFeature", {"kind": "number", "standardise": False, "dim": 1}),
        (
            "feature_type: RawFeature embedding_dim: 4",
            {"kind": "number", "standardise": False, "dim": 4},
        ),
        (
            "feature_type: RawFeature normalizer_fn: 'tf.math.log1p'",
            {"kind": "number", "log1p": True, "standardise": False, "dim": 1},
        ),
        (
            "feature_type: RawFeature min_val: 2 max_val: 12",
            {"kind": "number", "mean": 2.0, "scale": 10.0, "dim": 1},
        ),
        (
            "feature_type: RawFeature boundaries: [5, 1, 5] embedding_dim: 4",
            {"kind": "number", "buckets": [1.0, 5.0], "dim": 4},
        ),
        (
            "feature_type: RawFeature boundaries: .5 min_val: 2 max_val: 12 embedding_dim: 4",
            {"kind": "number", "buckets": [7.0], "dim": 4},
        ),
        (
            "feature_type: RawFeature num_buckets: 4 min_val: 0 max_val: 8 embedding_dim: 4",
            {"kind": "number", "buckets": [0.0, 2.0, 4.0, 6.0], "dim": 4},
        ),
        (
            "feature_type: RawFeature raw_input_dim: 3",
            {"kind": "vector", "size": 3, "dim": 3},
        ),
        (
            "feature_type: RawFeature raw_input_dim: 3 embedding_dim: 5",
            {"kind": "vector", "size": 3, "dim": 5},
        ),
        (
            f"feature_type: TagFeature separator: '#' {WORDS}",
            {"kind": "tags", "separator": "#", **HASHED},
        ),
        (
            f"feature_type: TagFeature kv_separator: '=' {WORDS}",
            {"kind": "tags", "separator": "|", "weights": True, **HASHED},
        ),
        (
            f"feature_type: TagFeature input_names: 'topic_scores' {WORDS}",
            {"kind": "tags", "separator": "|", "weights": True, **HASHED},
        ),
        (
            f"feature_type: SequenceFeature separator: ';' max_seq_len: 5 {WORDS}",
            {"kind": "sequence", "separator": ";", "max_length": 5, **HASHED},
        ),
        (
            f"feature_type: SequenceFeature sub_feature_type: IdFeature {WORDS}",
            {"kind": "sequence", "separator": "|", **HASHED},
        ),
    ],
)
def test_every_field_of_a_type_is_mapped(
    options: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    assert became(options, tmp_path) == expected


@pytest.mark.parametrize(
    ("options", "place", "remedy"),
    [
        ("feature_type: IdFeature num_buckets: 3 " + WORDS, "num_buckets", "keep one of them"),
        ("feature_type: IdFeature input_names: 'age' " + WORDS, "input_names", "leave one"),
        ("feature_type: IdFeature embedding_dim: 'x'", "embedding_dim", "expected a whole number"),
        ("feature_type: IdFeature embedding_dim: 4 embedding_dim: 8", "embedding_dim", "twice"),
        ("feature_type: NoFeature", "feature_type", "expected IdFeature or"),
        (
            "feature_type: RawFeature normalizer_fn: 'lambda x: x / 2'",
            "normalizer_fn",
            "write a column that holds the result",
        ),
        (
            "feature_type: RawFeature normalizer_fn: 'tf.math.log1p' boundaries: 1",
            "normalizer_fn",
            "stand alone",
        ),
        (
            "feature_type: RawFeature raw_input_dim: 3 boundaries: 1",
            "boundaries",
            "the 3 numbers go in as they are",
        ),
        ("feature_type: TagFeature input_names: ['age', 'clk'] " + WORDS, "input_names", "two"),
        (
            "feature_type: SequenceFeature sub_feature_type: RawFeature",
            "sub_feature_type",
            "give words",
        ),
        (
            "feature_type: SequenceFeature sequence_combiner { text_cnn {} } " + WORDS,
            "sequence_combiner.text_cnn",
            "remove it",
        ),
        (
            "feature_type: SequenceFeature seq_multi_sep: ';' " + WORDS,
            "seq_multi_sep",
            "one word a step",
        ),
        (
            "feature_type: LookupFeature " + WORDS,
            "",
            "reads two columns, a key and a map: name these",
        ),
        (
            "feature_type: LookupFeature input_names: 'age' " + WORDS,
            "",
            "no kv_separator: say what parts a key from its value",
        ),
        (
            "feature_type: ExprFeature expression: 'city >= 18 & city < 3'",
            "",
            "computes 'city >= 18 & city < 3': expected each comparison in brackets of its own",
        ),
        (
            "feature_type: ExprFeature expression: 'age + 1'",
            "",
            "not 'age'; or write the result into a column and give it as a RawFeature",
        ),
        ("feature_type: PassThroughFeature", "", "give it as a RawFeature"),
        (
            "feature_type: ComboFeature " + WORDS,
            "",
            "two columns or more: give this as an IdFeature",
        ),
        (
            "feature_type: ComboFeature input_names: 'age' combo_input_seps: ',' " + WORDS,
            "",
            "combo_input_seps: 2 are needed, one a column",
        ),
        (
            "feature_type: RawFeature boundaries: 1 embedding_name: 'ads'",
            "embedding_name",
            "the table of a RawFeature is its own: remove it",
        ),
        ("feature_type: IdFeature zz: 1", "zz", "no field that is known here"),
        ("feature_type: IdFeature input_names: 'nowhere'", "input_names", "no input_name"),
    ],
)
def test_what_has_no_like_is_refused_by_name_with_a_remedy(
    options: str, place: str, remedy: str, tmp_path: Path
) -> None:
    found = refused(with_feature(f"input_names: 'city' {options}", tmp_path))
    assert {one for one, _ in found} == {f"feature_configs.{place}".rstrip(".")}
    assert any(remedy in told for _, told in found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("feature_type: IdFeature separator: ','", "IdFeature does not read it"),
        ("feature_type: RawFeature hash_bucket_size: 9", "RawFeature does not read it"),
        ("feature_type: TagFeature combiner: 'sum'", "pooled by their (weighted) mean"),
        ("feature_type: IdFeature max_partitions: 4", "how EasyRec runs"),
        ("feature_type: IdFeature initializer { constant_initializer {} }", "begin small"),
    ],
)
def test_what_changes_nothing_of_the_meaning_is_noted(
    options: str, told: str, tmp_path: Path
) -> None:
    plan = with_feature(f"input_names: 'city' {options}", tmp_path)
    assert refused(plan) == []
    field = options.split(":")[1].split()[1].split()[0]
    noted = {entry.place: entry.says for entry in plan.ledger.of("noted")}
    assert told in noted[f"feature_configs.{field}"]


def made_of(computed: str, folder: Path) -> tuple[dict[str, Any], str, str]:
    """Return a feature that is worked out of columns, why, and what its column is said to be."""
    plan = with_feature(f"feature_name: 'city' {computed}", folder)
    assert refused(plan) == []
    side = plan.sides["user"]
    choice = side.groups["content"]["city"]
    TypeAdapter(Feature).validate_python(choice.options)
    return choice.options, choice.why, str(side.columns["city"])


@pytest.mark.parametrize(
    ("computed", "expected", "told"),
    [
        (
            "feature_type: LookupFeature input_names: ['age', 'city'] kv_separator: ':' " + WORDS,
            {"kind": "tags", "separator": "|", **HASHED},
            "what city has for age, parted by '|'",
        ),
        (
            "feature_type: LookupFeature input_names: ['age', 'city'] kv_separator: ':' "
            "separator: ';' combiner: 'mean' embedding_dim: 3 " + WORDS,
            {"kind": "tags", "separator": ";", **HASHED, "dim": 3},
            "what city has for age, parted by ';'",
        ),
        (
            "feature_type: ExprFeature input_names: ['age', 'city'] expression: 'age / city > 2'",
            {"kind": "number", "standardise": False, "dim": 1},
            "age / city > 2",
        ),
        (
            "feature_type: ComboFeature input_names: ['age', 'city'] embedding_dim: 3 " + WORDS,
            {"kind": "category", **HASHED, "dim": 3},
            "the words of age, city, joined by '_'",
        ),
        (
            "feature_type: ComboFeature input_names: ['age', 'city'] combo_join_sep: '&' "
            "combo_input_seps: ['', ';'] " + WORDS,
            {"kind": "tags", "separator": ";", **HASHED},
            "the words of age, city, joined by '&'",
        ),
    ],
)
def test_what_is_worked_out_of_columns_is_a_column_and_says_so(
    computed: str, expected: dict[str, Any], told: str, tmp_path: Path
) -> None:
    options, why, column = made_of(computed, tmp_path)
    assert options == expected
    assert column == told
    assert f"worked out beforehand: {told}; so it is in tables and requests" in why


def test_a_cross_of_three_categories_is_one_in_the_graph(tmp_path: Path) -> None:
    plan = plan_of(with_computed(easyrec()), tmp_path)
    assert refused(plan) == []
    side = plan.sides["user"]
    assert side.groups["content"]["age_city_seat"].options == {
        "kind": "cross",
        "of": ["age", "city", "seat"],
        "vocabulary": "hashed",
        "buckets": 50,
        "dim": 4,
    }
    assert "age_city_seat" not in side.columns


def test_attention_with_a_learned_query_is_mapped(tmp_path: Path) -> None:
    options = "feature_type: SequenceFeature sequence_combiner { attention {} }"
    plan = with_feature(f"input_names: 'city' {options}", tmp_path)
    assert refused(plan) == []
    assert not any("sequence_combiner" in entry.place for entry in plan.ledger.of("noted"))
    assert plan.sides["user"].groups["content"]["city"].options["pooling"] == "attention"


@pytest.mark.parametrize(
    "options",
    [
        "feature_type: TagFeature input_names: 'city' " + WORDS,
        "feature_type: TagFeature input_names: ['city', 'age'] " + WORDS,
        "feature_type: SequenceFeature input_names: 'city' " + WORDS,
        "feature_type: LookupFeature input_names: ['age', 'city'] kv_separator: ':' " + WORDS,
        "feature_type: ComboFeature input_names: ['age', 'city'] combo_input_seps: ['', ';'] "
        + WORDS,
    ],
)
def test_a_combiner_of_sqrtn_is_pooling_by_sqrtn(options: str, tmp_path: Path) -> None:
    plan = with_feature(f"feature_name: 'city' combiner: 'sqrtn' {options}", tmp_path)
    assert refused(plan) == []
    assert "feature_configs.combiner" in {entry.place for entry in plan.ledger.of("mapped")}
    choice = plan.sides["user"].groups["content"]["city"]
    assert choice.options["pooling"] == "sqrtn"
    TypeAdapter(Feature).validate_python(choice.options)


def test_a_combiner_beside_attention_is_not_read(tmp_path: Path) -> None:
    options = "feature_type: SequenceFeature sequence_combiner { attention {} } combiner: 'sqrtn'"
    plan = with_feature(f"input_names: 'city' {options}", tmp_path)
    noted = {entry.place: entry.says for entry in plan.ledger.of("noted")}
    assert noted["feature_configs.combiner"] == "SequenceFeature does not read it"
    assert plan.sides["user"].groups["content"]["city"].options["pooling"] == "attention"


def test_a_mean_is_mapped(tmp_path: Path) -> None:
    plan = with_feature("input_names: 'city' feature_type: TagFeature combiner: 'mean'", tmp_path)
    assert "feature_configs.combiner" in {entry.place for entry in plan.ledger.of("mapped")}


def test_a_cross_is_made_of_categories_by_our_names(tmp_path: Path) -> None:
    text = FEATURES.replace("input_names: 'age' ", "input_names: 'age' feature_name: 'a.b' ")
    model = DROPOUTNET.replace("'age',", "'a.b',")
    plan = plan_of(TRAIN + data_config() + text + model, tmp_path)
    assert refused(plan) == []
    content = plan.sides["user"].groups["content"]
    assert content["age_city"].options["of"] == ["a_b", "city"]
