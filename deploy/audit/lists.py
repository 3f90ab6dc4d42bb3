"""The lists that an audit goes by, as TOML: advisories that are borne, and licences."""

import tomllib
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final, Self, TypeVar

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, Field, ValidationError, model_validator

from export.contract.strict import Strict

IGNORED: Final = Path(__file__).with_name("ignored.toml")
LICENCES: Final = Path(__file__).with_name("licences.toml")
MOST: Final = timedelta(days=180)

M = TypeVar("M", bound=Strict)


class ListError(Exception):
    """A list that cannot be used; the message is the line that says why."""


def _reason(text: str) -> str:
    if len(text.split()) < 3:
        raise ValueError(f"got {text!r}, expected a sentence")
    return text


def _licence(text: str) -> str:
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression as error:
        raise ValueError(f"got {text!r}, expected SPDX, as MIT") from error


Reason = Annotated[str, AfterValidator(_reason)]
Licence = Annotated[str, AfterValidator(_licence)]


class Ignored(Strict):
    """One advisory that is known and borne until a day, and why."""

    id: str = Field(pattern=r"^[A-Z][A-Z0-9]+(-[0-9A-Za-z]+)+$")
    package: str = Field(min_length=1)
    reason: Reason
    added: date
    until: date

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not self.added <= self.until <= self.added + MOST:
            raise ValueError(f"until: got {self.until}, expected within {MOST.days} days of added")
        return self


class IgnoredList(Strict):
    """The advisories that are borne."""

    ignored: tuple[Ignored, ...] = ()

    @model_validator(mode="after")
    def _differ(self) -> Self:
        _once((f"{one.package} {one.id}" for one in self.ignored), "ignored")
        return self


class Told(Strict):
    """The licence of a package whose metadata says none by its SPDX name, and where it says it."""

    package: str = Field(min_length=1)
    licence: Licence
    reason: Reason


class LicenceList(Strict):
    """Licences that anything may have, and what packages have that do not say so themselves."""

    allowed: tuple[Licence, ...]
    told: tuple[Told, ...] = ()

    @model_validator(mode="after")
    def _differ(self) -> Self:
        _once(self.allowed, "allowed")
        _once((one.package for one in self.told), "told")
        return self


def _once(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{what}: {', '.join(twice)} stands there more than once")


def read(path: Path, kind: type[M]) -> M:
    """Read a list.

    Raises:
        ListError: It cannot be read; names what is wrong.

    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise ListError(f"{path.name}: {error}") from error
        [first, *_] = error.errors()
        place = ".".join(map(str, first["loc"]))
        raise ListError(f"{path.name}: {place}: {first['msg']}") from error
