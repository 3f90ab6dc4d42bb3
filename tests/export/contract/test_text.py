"""Text becomes words in one way, in training and in a tower file."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.contract.encoder import build_encoder
from export.contract.features import FIRST_WORD_ROW, MISSING_ROW, UNKNOWN_ROW, Text
from export.contract.features.text import words_of
from export.contract.features.vocabulary import bucket
from export.contract.session import open_session
from tests.export.contract.encoded import encode, schema_of

DOCS = Path(__file__).parents[3] / "docs" / "features.md"
WRITTEN = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_characters="\x1f"),
        st.sampled_from("aZ9 \t\n.,-_'我爱北京天安門ひらカタ々ー😀🏽❤️👩‍👧éé́İßΣςǅﬁ½①ＡＢعربيहिन्दी"),
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,!? ", []),
        ("Hello, WORLD", ["hello", "world"]),
        ("don't stop", ["don", "t", "stop"]),
        ("4K-video x_y", ["4k", "video", "x", "y"]),
        ("我爱北京", ["我爱", "爱北", "北京"]),
        ("我", ["我"]),
        ("我爱 Beijing2008年", ["我爱", "beijing2008", "年"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("한국어 말", ["한국어", "말"]),
        ("good😀😀day", ["good", "😀", "😀", "day"]),
        ("❤\ufe0f 👍🏽", ["❤", "👍"]),
        ("Cafe\u0301 CAFÉ", ["café", "café"]),
        ("ＡＢＣ ﬁn ①", ["abc", "fin", "1"]),
        ("हिन्दी", ["हिन्दी"]),
        ("a\u00a0b\u3000c\td\ne\x00f", ["a", "b", "c", "d", "e", "f"]),
        ("^`+=$", []),
    ],
)
def test_a_text_is_read_as_these_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_the_page_tells_the_words_of_its_examples() -> None:
    examples = re.findall(r"^\| `(.+)` \| `([^|]*)` \|$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert len(examples) >= 3
    for text, words in examples:
        assert " ".join(words_of(text)) == words


@given(WRITTEN)
def test_a_word_holds_no_space_and_is_read_as_itself(text: str) -> None:
    for word in words_of(text):
        assert word
        assert not any(character.isspace() for character in word)
        assert word.split(" ") == [word]


@given(st.lists(WRITTEN, min_size=1, max_size=4), st.integers(1, 8), st.data())
def test_the_graph_splits_as_training_counts(
    texts: list[str], length: int, data: st.DataObject
) -> None:
    """The vocabulary is fitted by `words`; a tower file has to meet the very same words."""
    feature = Text(max_length=length)
    counted = [list(feature.words(text)) for text in texts]
    every = sorted({word for words in counted for word in words})
    known = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    schema = schema_of({"t": {"kind": "text", "max_length": length}}, {"item.t": known})
    rows = encode(schema, [{"t": text} for text in texts])["t"]
    for words, found in zip(counted, rows.tolist(), strict=True):
        expected = [
            FIRST_WORD_ROW + known.index(word) if word in known else UNKNOWN_ROW for word in words
        ]
        assert found[: len(words)] == expected
        assert not any(found[len(words) :])


def test_missing_is_not_empty() -> None:
    schema = schema_of({"t": {"kind": "text"}}, {"item.t": ["a"]})
    assert schema.item.parse({"t": ""}) == {"t": ""}
    assert encode(schema, [{"t": ""}, {}, {"t": "A"}])["t"][:, 0].tolist() == [0, MISSING_ROW, 3]
    assert encode(schema, [{"t": ""}, {"t": "!"}])["t"].tolist() == [[0], [0]]


def test_hashed_words_of_a_text_have_their_buckets() -> None:
    options = {"kind": "text", "vocabulary": "hashed", "buckets": 100}
    rows = encode(schema_of({"t": options}), [{"t": "Red 北京市"}])["t"][0]
    assert [bucket(word, 100) + FIRST_WORD_ROW for word in ("red", "北京", "京市")] == [
        row for row in rows.tolist() if row
    ]


def test_a_tower_file_splits_and_cuts_a_text_itself() -> None:
    schema = schema_of({"t": {"kind": "text", "max_length": 2}}, {"item.t": ["a", "b"]})
    session = open_session(build_encoder(schema, "item").SerializeToString())
    raw = np.array([["b a  b"], [" "], ["\x1f"]], dtype=object)
    assert session.run(None, {"t": raw})[0].tolist() == [[4, 3], [0, 0], [1, 0]]
