"""A configuration written as YAML, with the reasons as comments."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
SPECIAL = {"true", "false", "null", "yes", "no", "on", "off"}
GROUPS = {
    "content": "known beforehand; what a new one is placed by",
    "context": "given with the request",
    "preference": "statistics of behaviour, hidden from whoever is new; taken from the log",
}


@dataclass(frozen=True)
class Choice:
    """A feature's options, and why; no options: the column is left out."""

    why: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """The feature kind; None where the column is left out."""
        return self.options.get("kind")


def flow(value: Any) -> str:
    """Write a value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.lower() not in SPECIAL
        if plain or re.fullmatch(r"[0-9]+[dhms]", value):
            return value
        return json.dumps(value, ensure_ascii=not value.isprintable())
    return json.dumps(value)


def said(text: str, indent: str = "") -> str:
    """Write a comment; what came from data cannot end its line."""
    return f"{indent}# {' '.join(text.split())}"


def group_lines(
    group: str, choices: Mapping[str, Choice], title: str | None = None
) -> Iterator[str]:
    """Write one group of a side: a line for each feature, a comment for each that is left out."""
    kept = {name: one for name, one in choices.items() if one.kind is not None}
    if kept:
        yield f"  {group}:  {said(title or GROUPS[group])}"
    for name, choice in kept.items():
        yield f"    {flow(name)}: {flow(choice.options)}  {said(choice.why)}"
    for name, choice in choices.items():
        if choice.kind is None:
            yield said(f"{group}, left out: {name!r}: {choice.why}", "    ")
