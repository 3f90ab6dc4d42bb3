"""What is wrong with a configuration, told in one line."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from training.misspelt import nearest

LISTED = "docs/training.md names those there are"
NO_SECTION = ("dict_type", "model_type", "model_attributes_type")
MOST = 5  # faults in one line


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say which keys of a `model` are at fault, what came and what would be right."""
    faults = error.errors(include_url=False)
    lines = []
    for fault in faults:
        place = fault["loc"]
        if any(len(o["loc"]) > len(place) and o["loc"][: len(place)] == place for o in faults):
            continue  # a list whose members are at fault is called too short as well
        if fault["type"] == "default_factory_not_called":
            continue  # a default that is made of a value at fault
        where, got = ".".join(map(str, place)), fault["input"]
        plain = isinstance(got, str | int | float) and fault["type"] != "extra_forbidden"
        text = _told(fault, model)
        lines.append(f"{where}: " * bool(where) + text + f", got {got!r}" * plain)
    return "; ".join(lines[:MOST])


def _told(fault: Any, model: type[BaseModel]) -> str:
    kind, text = fault["type"], str(fault["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        meant = nearest(model, fault["loc"])
        return f"unknown key; {LISTED if meant is None else f'the nearest is {meant!r}'}"
    if kind == "union_tag_not_found":
        return f"expected a kind; {LISTED}"
    if kind == "union_tag_invalid":
        tags = [one.strip("' ") for one in fault["ctx"]["expected_tags"].split(",")]
        close = get_close_matches(str(fault["ctx"]["tag"]), tags, n=1)
        return text + (f"; the nearest is {close[0]!r}" if close else "")
    if kind in NO_SECTION:
        return "expected keys and values; leave the key out where there are none"
    return text
