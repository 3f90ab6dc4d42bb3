"""Which row a word has: learned and given lists, hashed buckets, and tables that are shared."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from export.contract.errors import SchemaError
from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, PADDING_ROW, Category, Feature
from export.contract.features.vocabulary import bucket
from export.contract.side import Record
from tests.export.contract.encoded import encode, parsed, schema_of

FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)
DOCS = Path(__file__).parents[3] / "docs" / "features.md"
HASHED = {"vocabulary": "hashed", "buckets": 1000}
WORD = st.text(min_size=1, max_size=8).filter(lambda word: "\x1f" not in word)


def test_the_name_of_a_table_is_of_at_most_64_letters_digits_and_dashes() -> None:
    for name in ("a", "länder-2_x", "x" * 64):
        assert Category.model_validate({"kind": "category", "table": name}).table == name
    for name in ("", "-a", "a.b", "a\n", "x" * 65):
        with pytest.raises(ValidationError, match="table"):
            FEATURE.validate_python({"kind": "category", "table": name})


def row(word: str, buckets: int = 1000) -> int:
    return FIRST_WORD_ROW + bucket(word, buckets)


def test_the_hash_is_the_one_the_page_documents() -> None:
    vectors = re.findall(r"^\| `(.+)` \| (\d+) \| (\d+) \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert len(vectors) >= 3
    for word, number, of_a_thousand in vectors:
        assert bucket(word, 2**64) == int(number)
        assert bucket(word, 1000) == int(of_a_thousand)


def test_the_hash_is_blake2b_of_eight_bytes() -> None:
    # Appendix A of RFC 7693 has the digest of 64 bytes only; this one is `b2sum -l 64` of "abc".
    assert bucket("abc", 2**64) == int.from_bytes(bytes.fromhex("d8bb14d833d59559"), "little")


def test_a_schema_names_the_hash() -> None:
    assert '"hash":"blake2b-64"' in Category(**HASHED).model_dump_json()
    assert Category().hash is None


def test_words_spread_over_all_buckets() -> None:
    found = np.bincount([bucket(f"w{n}", 10) for n in range(10_000)], minlength=10)
    assert found.min() > 850
    assert found.max() < 1150


@given(st.lists(WORD, max_size=5), st.sampled_from([1, 2, 1000]))
def test_every_word_of_a_hashed_vocabulary_has_its_buckets_row(
    words: list[str], buckets: int
) -> None:
    options = {"vocabulary": "hashed", "buckets": buckets}
    schema = schema_of(
        {
            "bag": {"kind": "tags", **options},
            "row": {"kind": "sequence", **options},
            "one": {"kind": "category", **options},
        }
    )
    record: Record = {"bag": words, "row": words, **({"one": words[0]} if words else {})}
    arrays = encode(schema, parsed(schema, [record, {}]))
    for name, once in (("bag", list(dict.fromkeys(words))), ("row", words)):
        assert arrays[name][0].tolist() == [row(w, buckets) for w in once] or not words
        assert arrays[name][1, 0] == MISSING_ROW
        assert not arrays[name][1, 1:].any()
    one = row(words[0], buckets) if words else MISSING_ROW
    assert arrays["ids"].tolist() == [[one], [MISSING_ROW]]


def test_hashed_and_learned_categories_stand_side_by_side_in_order() -> None:
    schema = schema_of(
        {
            "a": {"kind": "category"},
            "b": {"kind": "category", **HASHED},
            "c": {"kind": "category"},
            "d": {"kind": "category", "vocabulary": "hashed", "buckets": 3},
        },
        {"item.a": ["x", "7"], "item.c": ["y"]},
    )
    records: list[dict[str, object]] = [{"a": "7", "b": "7", "c": "7", "d": "7"}, {"b": "x"}]
    assert encode(schema, parsed(schema, records))["ids"].tolist() == [
        [4, row("7"), 2, row("7", 3)],
        [1, row("x"), 1, 1],
    ]


def test_a_word_has_one_row_in_every_kind_and_on_both_sides() -> None:
    options = {"table": "word", **HASHED}
    schema = schema_of({"a": {"kind": "tags", **options}, "b": {"kind": "category", **options}})
    arrays = encode(schema, parsed(schema, [{"a": ["x"], "b": "x"}]))
    assert arrays["a"][0, 0] == arrays["ids"][0, 0] == row("x")
    assert schema.rows("word") == FIRST_WORD_ROW + 1000


def test_a_tower_file_takes_the_number_of_a_bucket() -> None:
    schema = schema_of({"a": {"kind": "category", **HASHED}, "b": {"kind": "tags", **HASHED}})
    packed = schema.item.pack(parsed(schema, [{"a": "x", "b": ["y"]}, {}]), [True, True])
    assert packed["strings"].tolist() == [[str(bucket("x", 1000))], ["\x1f"]]
    assert packed["b"].tolist() == [[str(bucket("y", 1000))], ["\x1f"]]


@pytest.mark.parametrize(("number", "held"), [("-5", 0), ("1000", 999), ("999999", 999)])
def test_a_number_beyond_the_buckets_reads_no_row_outside_of_the_table(
    number: str, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Category, "token", lambda self, value: number)
    schema = schema_of({"a": {"kind": "category", **HASHED}})
    assert encode(schema, [{"a": "x"}])["ids"].tolist() == [[FIRST_WORD_ROW + held]]


class TestGiven:
    def test_words_keep_their_order(self, tmp_path: Path) -> None:
        (tmp_path / "words.txt").write_bytes("b\r\na b\r\n日本".encode())
        feature = Category(vocabulary="given", words_from="words.txt")
        assert feature.given_words(tmp_path) == ("b", "a b", "日本")
        assert Category(vocabulary="given", words_from=("b", "a")).given_words(tmp_path) == (
            "b",
            "a",
        )

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a\nb\na\n", "'a' is word 1 and word 3"),
            (b"a\n\nb\n", "word 2: got '', expected a word"),
            (b"a\x1f\n", r"word 1: got 'a\\x1f'"),
            (b"\xff\n", "utf-8"),
            (None, "No such file"),
        ],
    )
    def test_bad_file_is_named_with_the_word(
        self, tmp_path: Path, content: bytes | None, message: str
    ) -> None:
        if content is not None:
            (tmp_path / "words.txt").write_bytes(content)
        feature = Category(vocabulary="given", words_from="words.txt")
        with pytest.raises(SchemaError, match=rf"words\.txt.*{message}"):
            feature.given_words(tmp_path)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"vocabulary": "hased"}, "hashed"),
    ({"vocabulary": "hashed"}, "needs buckets"),
    ({"vocabulary": "hashed", "buckets": 5, "hash": "md5"}, "blake2b-64"),
    ({"vocabulary": "hashed", "buckets": 0}, "greater than"),
    ({"vocabulary": "given"}, "needs words_from"),
    ({"buckets": 5}, "buckets belongs to vocabulary: hashed; got learned"),
    ({"words_from": ["a"]}, "words_from belongs to vocabulary: given; got learned"),
    ({"vocabulary": "hashed", "buckets": 5, "min_count": 2}, "min_count belongs to .* learned"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=lambda o: str(o)[:50])
@pytest.mark.parametrize("kind", ["category", "tags", "sequence"])
def test_options_that_do_not_go_together_are_refused(
    kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        FEATURE.validate_python({"kind": kind, **options})


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({}, "got learned and hashed, 1000"),
        ({"vocabulary": "hashed", "buckets": 5}, "got hashed, 5 and hashed, 1000"),
    ],
)
def test_features_of_one_table_agree_on_its_vocabulary(one: dict[str, Any], said: str) -> None:
    first = {"kind": "tags", "table": "word", **one}
    other = {"kind": "category", "table": "word", **HASHED}
    with pytest.raises(ValidationError, match="item.a and item.b share table 'word'") as caught:
        schema_of({"a": first, "b": other}, {"word": ["x"]})
    assert said in str(caught.value)


def test_padding_of_a_hashed_bag_is_no_word() -> None:
    schema = schema_of({"a": {"kind": "tags", **HASHED}})
    arrays = encode(schema, parsed(schema, [{"a": ["x", "y"]}, {"a": []}]))
    assert arrays["a"][1].tolist() == [PADDING_ROW, PADDING_ROW]
