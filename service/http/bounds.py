"""What a bounded value may be, in the words of every message that refuses one."""


def whole_number(most: int) -> str:
    """Return what a number from 1 on is expected to be."""
    return f"a whole number from 1 to {most}"


def list_of(what: str, most: int) -> str:
    """Return what a list is expected to be; `what` names its members."""
    return f"a list of at most {most} {what}"


def size(most: int) -> str:
    """Return how large a body or a query string is expected to be."""
    return f"at most {most} bytes"
