"""Keys made unreadable wherever a caller has put them by mistake."""

import re
from typing import Any, Final

from service.keys.hidden import forms_of, without

FORM: Final = re.compile(r"fs_[A-Za-z0-9_-]{43}")
"""Of all keys that `new_key` makes."""

MASK: Final = "fs_***"

_token: tuple[str, ...] = ()


def mask_token(token: str | None) -> None:
    """Mask the one key of this process that has not that form; None: there is no such key."""
    global _token
    _token = () if token is None else forms_of([token])


def masked(text: str) -> str:
    """Return a text without the keys in it."""
    return without(_token, FORM.sub(MASK, text) if "fs_" in text else text)


def masked_value(value: Any) -> Any:
    """Return what JSON can hold without the keys in it, however deep."""
    match value:
        case str():
            return masked(value)
        case list():
            return [masked_value(one) for one in value]
        case dict():
            return {masked_value(name): masked_value(one) for name, one in value.items()}
    return value
