"""`--set path=value`: one value of a configuration, changed from the command line."""

from typing import Any

import yaml

from export.contract.errors import ConfigError
from training.document import parse_yaml


def override(config: dict[str, Any], assignment: str) -> None:
    """Change one value in place; a list's member is named by its index or its `kind`.

    `losses.in_batch_softmax.temperature=.05` and `losses.0.temperature=.05` mean the same. The
    value is YAML, so quotes keep a number text.

    Raises:
        ConfigError: No '=', a list that holds no such member or several, or a path through a
            plain value.

    """
    path, equals, text = assignment.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {assignment}: expected path=value")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {assignment}: the value is not YAML") from error
    place: Any = config
    for key in keys[:-1]:
        place = _step(place, key, assignment)
    _assign(place, keys[-1], value, assignment)


def _step(place: Any, key: str, assignment: str) -> Any:
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return place[key]
    return place[_position(place, key, assignment)]


def _assign(place: Any, key: str, value: Any, assignment: str) -> None:
    if isinstance(place, dict):
        place[key] = value
    else:
        place[_position(place, key, assignment)] = value


def _position(place: Any, key: str, assignment: str) -> int:
    if not isinstance(place, list):
        raise ConfigError(f"--set {assignment}: {key!r} stands below a plain value")
    kinds = [member.get("kind") if isinstance(member, dict) else None for member in place]
    if key in map(str, range(len(place))):
        return int(key)
    if kinds.count(key) > 1:
        raise ConfigError(f"--set {assignment}: {key!r} stands there twice; name it by its index")
    if key not in kinds:
        raise ConfigError(f"--set {assignment}: no {key!r} in the list; it holds {kinds}")
    return kinds.index(key)
