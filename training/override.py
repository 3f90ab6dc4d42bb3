"""`--set path=value`: one value of a configuration, changed from the command line."""

from typing import Any

import yaml

from export.contract.errors import ConfigError
from training.document import parse_yaml


def override(config: dict[str, Any], assignment: str, flag: str = "--set") -> None:
    """Change one value in place; a list's member is named by its index or its `kind`.

    `losses.in_batch_softmax.temperature=.05` and `losses.0.temperature=.05` mean the same. The
    value is YAML, so quotes keep a number text. `flag` is what the user wrote it behind.

    Raises:
        ConfigError: No '=', a list that holds no such member or several, or a path through a
            plain value.

    """
    said = f"{flag} {assignment}"
    path, equals, text = assignment.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{said}: expected path=value")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{said}: the value is not YAML") from error
    place: Any = config
    for key in keys[:-1]:
        place = _step(place, key, said)
    _assign(place, keys[-1], value, said)


def _step(place: Any, key: str, said: str) -> Any:
    if isinstance(place, dict):
        if place.get(key) is None:
            place[key] = {}
        return place[key]
    return place[_position(place, key, said)]


def _assign(place: Any, key: str, value: Any, said: str) -> None:
    if isinstance(place, dict):
        place[key] = value
    else:
        place[_position(place, key, said)] = value


def _position(place: Any, key: str, said: str) -> int:
    if not isinstance(place, list):
        raise ConfigError(f"{said}: {key!r} stands below a plain value")
    kinds = [member.get("kind") if isinstance(member, dict) else None for member in place]
    if key in map(str, range(len(place))):
        return int(key)
    if kinds.count(key) > 1:
        raise ConfigError(f"{said}: {key!r} stands there twice; name it by its index")
    if key not in kinds:
        raise ConfigError(f"{said}: no {key!r} in the list; it holds {kinds}")
    return kinds.index(key)
