"""Secrets of others that this process was given, kept out of its log."""

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote, unquote_plus

HIDDEN: Final = "***"

LEAST: Final = 6
"""Characters of a secret: what is shorter is part of too many words."""

_hidden: tuple[str, ...] = ()


def hide(secrets: Iterable[str]) -> None:
    """Have these in no line of the log from now on; whoever logs them, and however written."""
    global _hidden
    _hidden = _longest_first({*_hidden, *forms_of(secrets)})


def without_hidden(text: str) -> str:
    """Return a text with a mark in the place of each; of one within another the longer goes."""
    return without(_hidden, text)


def forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return as what secrets stand in a text, the longest first.

    They may be as they are, coded for a URL or read as if they were, and quoted by Python or JSON.
    """
    bare = {one for one in secrets if len(one) >= LEAST}
    sent = {
        form
        for one in bare
        for form in (one, quote(one), quote(one, safe=""), unquote(one), unquote_plus(one))
    }
    told = sent | {repr(one)[1:-1] for one in sent}
    forms = told | {json.dumps(one, ensure_ascii=False)[1:-1] for one in told}
    return _longest_first({form for form in forms if len(form) >= LEAST})


def without(forms: Iterable[str], text: str) -> str:
    """Return a text with a mark in the place of each of these, as they are given."""
    for form in forms:
        text = text.replace(form, HIDDEN)
    return text


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(texts, key=len, reverse=True))
