"""Protobuf's text format, read without a schema: every field that stands in a file, with its line.

https://protobuf.dev/reference/protobuf/textformat-spec/. Extensions and `Any` are not read.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from export.contract.errors import ConfigError

DEEPEST = 50
TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[fF]?)(?![\w.]))
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>[][{}<>:,;-])""",
    re.VERBOSE,
)
ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
SIMPLE = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
CLOSING = {"{": "}", "<": ">"}


class Word(str):
    """A value that stands without quotes: the name of an enum's value, true, false."""


Value = Union[str, int, float, "Message"]


@dataclass(frozen=True, eq=False)
class Field:
    """One value of a field; a list in brackets is as many fields. Two fields are never equal."""

    name: str
    value: Value
    line: int


@dataclass(frozen=True, eq=False)
class Message:
    """The fields between two braces, in order; a repeated one stands several times."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Token:
    """A piece of text; `kind` is string, number, word, mark, or end."""

    kind: str
    text: str
    line: int


def read_text(path: Path) -> Message:
    """Read a file of protobuf text.

    Raises:
        ConfigError: It cannot be read, or is not protobuf text; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason}") from error
    return parse_text(text, str(path))


def parse_text(text: str, name: str) -> Message:
    """Read protobuf text; `name` is that of the file, for messages.

    Raises:
        ConfigError: It is not protobuf text; names the line.
    """
    return _Parser(list(_tokens(text, name)), name).message(end="", depth=0)


def _tokens(text: str, name: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            rest = text[at:].split("\n", 1)[0]
            raise ConfigError(f"{name}:{line}: got {rest:.40}, expected protobuf text")
        kind, piece = str(found.lastgroup), found[0]
        if kind != "space":
            yield Token(kind, piece, line)
        line += piece.count("\n")
        at = found.end()
    yield Token("end", "the end", line)


class _Parser:
    """Reads tokens from left to right; each method leaves `at` behind what it has read."""

    def __init__(self, tokens: list[Token], name: str) -> None:
        self.tokens, self.name, self.at = tokens, name, 0

    def message(self, end: str, depth: int) -> Message:
        """Read fields up to the closing mark; at the top up to the end of the text."""
        if depth > DEEPEST:
            raise self._fault(f"messages no deeper than {DEEPEST}")
        fields: list[Field] = []
        while not (self._ahead.kind == "end" if not end else self._takes(end)):
            if self._ahead.kind != "word":
                raise self._fault("the name of a field")
            name = self._next()
            has_colon = self._takes(":")
            values = self._values(depth) if has_colon else [self._inner(depth)]
            fields += [Field(name.text, value, name.line) for value in values]
            if not self._takes(","):
                self._takes(";")
        return Message(tuple(fields))

    def _values(self, depth: int) -> list[Value]:
        if not self._takes("["):
            return [self._value(depth)]
        found: list[Value] = []
        while not self._takes("]"):
            if found and not self._takes(","):
                raise self._fault("',' or ']'")
            found.append(self._value(depth))
        return found

    def _value(self, depth: int) -> Value:
        token = self._ahead
        if token.text in CLOSING and token.kind == "mark":
            return self._inner(depth)
        if token.kind == "string":
            return self._string()
        sign = -1 if self._takes("-") else 1
        token = self._ahead
        if token.kind == "number":
            return sign * _number(self._next().text)
        if token.kind == "word" and token.text.lower() in ("inf", "infinity", "nan"):
            self._next()
            return sign * (math.nan if token.text.lower() == "nan" else math.inf)
        if token.kind == "word" and sign > 0:
            return Word(self._next().text)
        raise self._fault("a value")

    def _inner(self, depth: int) -> Message:
        opening = self._ahead.text if self._ahead.kind == "mark" else ""
        if opening not in CLOSING:
            raise self._fault("':' or '{'")
        self._next()
        return self.message(CLOSING[opening], depth + 1)

    def _string(self) -> str:
        """Read strings that stand beside each other as one; escapes are bytes of UTF-8."""
        found = b""
        while self._ahead.kind == "string":
            token = self._next()
            try:
                found += ESCAPE.sub(_escaped, token.text[1:-1].encode())
            except ValueError as error:
                raise ConfigError(f"{self.name}:{token.line}: {error}") from None
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise self._fault("UTF-8 text before it") from None

    @property
    def _ahead(self) -> Token:
        return self.tokens[self.at]

    def _next(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def _takes(self, mark: str) -> bool:
        found = self._ahead.kind == "mark" and self._ahead.text == mark
        self.at += found
        return found

    def _fault(self, expected: str) -> ConfigError:
        token = self._ahead
        return ConfigError(f"{self.name}:{token.line}: got {token.text:.40}, expected {expected}")


def _number(text: str) -> int | float:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    if text.isdigit():
        is_octal = text[0] == "0" and set(text) <= set("01234567")
        return int(text, 8) if is_octal else int(text)
    return float(text.rstrip("fF"))


def _escaped(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short, long, simple = found.groups()
    if octal or hexadecimal:
        return bytes([int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)])
    if short or long:
        return chr(int(short or long, 16)).encode()
    if simple[0] not in SIMPLE:
        raise ValueError(f"\\{simple.decode(errors='replace')} is no escape")
    return bytes([SIMPLE[simple[0]]])
