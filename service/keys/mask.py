"""Keys made unreadable wherever a caller has put them by mistake."""

import re
from typing import Any, Final

FORM: Final = re.compile(r"fs_[A-Za-z0-9_-]{43}")
"""Of all keys that `new_key` makes."""

MASK: Final = "fs_***"


def masked(text: str) -> str:
    """Return a text without the keys in it."""
    return FORM.sub(MASK, text) if "fs_" in text else text


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
