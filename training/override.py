"""`--set path=value`: one value of a configuration, changed from the command line."""

from typing import Any

import yaml

from export.contract.errors import ConfigError


def override(config: dict[str, Any], assignment: str) -> None:
    """Change one value in place; a list's member is named by its index or its `kind`.

    `losses.in_batch_softmax.temperature=.05` and `losses.0.temperature=.05` mean the same.

    Raises:
        ConfigError: No '=', a list without such a member, or a path through a plain value.

    """
    path, equals, text = assignment.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {assignment}: expected path=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {assignment}: the value is not YAML") from error
    if isinstance(value, str):
        value = _number(value)
    place: Any = config
    for key in keys[:-1]:
        place = _step(place, key, assignment)
    _assign(place, keys[-1], value, assignment)


def _number(text: str) -> str | float:
    """Read `1e-3`, which YAML 1.1 takes for text."""
    try:
        return float(text)
    except ValueError:
        return text


def _step(place: Any, key: str, assignment: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(key, {})
    return place[_position(place, key, assignment)]


def _assign(place: Any, key: str, value: Any, assignment: str) -> None:
    if isinstance(place, dict):
        place[key] = value
    else:
        place[_position(place, key, assignment)] = value


def _position(place: Any, key: str, assignment: str) -> int:
    if not isinstance(place, list):
        raise ConfigError(f"--set {assignment}: {key!r} stands below a plain value")
    for position, member in enumerate(place):
        if key == str(position) or (isinstance(member, dict) and member.get("kind") == key):
            return position
    kinds = [member.get("kind") for member in place if isinstance(member, dict)]
    raise ConfigError(f"--set {assignment}: no {key!r} in the list; it holds {kinds}")
