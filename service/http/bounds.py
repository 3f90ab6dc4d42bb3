"""What a bounded value may be, in the words of every message that refuses one."""

MOST_DIGITS = 18
"""Of a number in a query or a head: Python refuses some thousands, and no bound needs as many."""


def whole_number(most: int) -> str:
    """Return what a number from 1 on is expected to be."""
    return f"a whole number from 1 to {most}"


def list_of(what: str, most: int) -> str:
    """Return what a list is expected to be; `what` names its members."""
    return f"a list of at most {most} {what}"


def size(most: int) -> str:
    """Return how large a body or a query string is expected to be."""
    return f"at most {most} bytes"


def read_whole(text: str | bytes, most: int) -> int | None:
    """Return the number from 1 to `most` that a text is in up to 18 digits; None: it is none."""
    if len(text) > MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if 1 <= number <= most else None
