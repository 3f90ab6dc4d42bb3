import math
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from export.contract.errors import ConfigError
from training.easyrec.text import DEEPEST, Message, Word, parse_text


def tree(message: Message) -> list[tuple[str, Any]]:
    """Return names and values, messages as lists."""
    return [
        (one.name, tree(one.value) if isinstance(one.value, Message) else one.value)
        for one in message.fields
    ]


def read(text: str) -> list[tuple[str, Any]]:
    return tree(parse_text(text, "a.config"))


words = st.text(st.characters(codec="utf-8"), max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)


@given(words, whole, st.lists(whole, max_size=4), st.lists(words, max_size=3), st.booleans())
def test_what_protobuf_writes_is_read_as_it_was(
    name: str, number: int, numbers: list[int], keys: list[str], in_one_line: bool
) -> None:
    node = onnx.NodeProto(name=name, input=keys)
    node.attribute.add(name="x", i=number, ints=numbers, type=onnx.AttributeProto.INTS)
    node.attribute.add(s=name.encode(), f=0.5)
    text = text_format.MessageToString(
        node, as_one_line=in_one_line, use_short_repeated_primitives=in_one_line
    )
    found = dict(read(text))
    inner = [dict(value) for key, value in read(text) if key == "attribute"]
    assert found.get("name", "") == name
    assert [value for key, value in read(text) if key == "input"] == keys
    assert (inner[0]["i"], inner[0]["type"]) == (number, "INTS")
    first = next(value for key, value in read(text) if key == "attribute")
    assert [value for key, value in first if key == "ints"] == numbers
    assert (inner[1]["s"], inner[1]["f"]) == (name, 0.5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -1", -1),
        ("a: 0x1F", 31),
        ("a: 017", 15),
        ("a: 1e-06", 1e-06),
        ("a: .5f", 0.5),
        ("a: 5.", 5.0),
        ("a: -inf", -math.inf),
        ("a: true", "true"),
        ("a: DEEP", "DEEP"),
        ("a: 'it\\'s'", "it's"),
        ('a: "\\001"', "\x01"),
        ('a: "\\x41\\t\\u00e9"', "A\té"),
        ('a: "\\346\\240\\207"', "标"),
        ("a: 'one' \"two\"", "onetwo"),
        ("a: '# no comment'  # a comment", "# no comment"),
    ],
)
def test_every_way_to_write_a_value_is_read(text: str, value: object) -> None:
    assert read(text) == [("a", value)]


def test_a_word_without_quotes_is_told_from_text() -> None:
    fields = parse_text("a: DEEP a: 'DEEP'", "a.config").fields
    assert [isinstance(one.value, Word) for one in fields] == [True, False]


def test_messages_are_read_with_and_without_colon_and_in_lists() -> None:
    assert read("a { b: 1, c: 2; } a: < b: 3 > a: [{}, {b: 4}]") == [
        ("a", [("b", 1), ("c", 2)]),
        ("a", [("b", 3)]),
        ("a", []),
        ("a", [("b", 4)]),
    ]
    assert read("a: [1, 2] a: [] a: 3") == [("a", 1), ("a", 2), ("a", 3)]


def test_every_field_knows_its_line() -> None:
    fields = parse_text("# head\na: 1\n\nb {\n  c: 'x'\n}\n", "a.config").fields
    assert [one.line for one in fields] == [2, 4]
    assert isinstance(fields[1].value, Message)
    assert fields[1].value.fields[0].line == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb", "a.config:2: got the end, expected ':' or '{'"),
        ("a {\n b: 1\n", "a.config:3: got the end, expected the name of a field"),
        ("a: 1\n}", "a.config:2: got }, expected the name of a field"),
        ("a: { b: 1 >", "a.config:1: got >, expected the name of a field"),
        ("a:\n", "a.config:2: got the end, expected a value"),
        ("a: -true", "a.config:1: got true, expected a value"),
        ("a: [1 2]", "a.config:1: got 2, expected ',' or ']'"),
        ("a: 12abc", "a.config:1: got 12abc, expected protobuf text"),
        ("a: 'open\nb: 1", "a.config:1: got 'open, expected protobuf text"),
        ("a: '\\q'", "a.config:1: \\q is no escape"),
        ("a: '\\xff'", "expected UTF-8 text before it"),
        ("a { " * (DEEPEST + 1), f"expected messages no deeper than {DEEPEST}"),
    ],
)
def test_what_is_no_protobuf_text_is_refused_by_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert told in str(error.value)
