"""The nearest right name of a key that no part of a configuration knows."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

Place = Sequence[str | int]


def nearest(model: type[BaseModel], place: Place) -> str | None:
    """Return the key that is most like the last of `place`, where that is an unknown one.

    Args:
        model: What the whole configuration is.
        place: The keys, indices and kinds on the way, as pydantic tells of a fault.

    """
    known = [name for one in _at([model], place[:-1]) for name in one.model_fields]
    found = get_close_matches(str(place[-1]), known, n=1)
    return found[0] if found else None


def _at(types: Sequence[Any], place: Place) -> list[type[BaseModel]]:
    """Return the models that may stand at a place below any of these types."""
    if not place:
        return [one for one in types if _is_model(one)]
    step, below = place[0], []
    for one in types:
        if _is_model(one) and step in one.model_fields:
            below += list(_members(one.model_fields[step].annotation))
        elif _is_model(one) and _kind(one) == step:
            below.append(one)  # pydantic names the member of a union, which takes no step
        elif get_origin(one) in (tuple, list, dict, Mapping):
            element = get_args(one)[1 if get_origin(one) in (dict, Mapping) else 0]
            below += list(_members(element))
    return _at(below, place[1:])


def _members(annotation: Any) -> Iterator[Any]:
    """Give the types that a field may hold, unions taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _members(one)
    else:
        yield annotation


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _kind(one: type[BaseModel]) -> object:
    """Return what tells a member of a union from the others."""
    for name in ("kind", "aggregate"):
        if name in one.model_fields:
            return one.model_fields[name].default
    return None
