"""Secrets of others that this process was given, kept out of its log."""

import json
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "***"

LEAST: Final = 6
"""Characters of a secret: what is shorter is part of too many words."""

_hidden: tuple[str, ...] = ()


def hide(secrets: Iterable[str]) -> None:
    """Have these in no line of the log from now on; whoever logs them, also quoted as JSON."""
    global _hidden
    long = {one for one in secrets if len(one) >= LEAST}
    quoted = {json.dumps(one, ensure_ascii=False)[1:-1] for one in long}
    _hidden = tuple(sorted({*_hidden, *long, *quoted}, key=len, reverse=True))


def without_hidden(text: str) -> str:
    """Return a text with a mark in the place of each; of one within another the longer goes."""
    for secret in _hidden:
        text = text.replace(secret, HIDDEN)
    return text
