"""The base of every config and wire model: frozen, and unknown keys are refused."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A value that cannot change and that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def data_files(self) -> tuple[str, ...]:
        """The files of the data folder that this has read; those of its members are theirs."""
        return ()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy, with some fields replaced unchecked, and without what cached properties held.

        pydantic copies cached properties too, which then speak for fields that were replaced.
        """
        copied = super().model_copy(update=update, deep=deep)
        for cached in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[cached]
        return copied
