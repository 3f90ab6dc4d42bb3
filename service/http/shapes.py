"""Values that many calls take, as JSON Schema says them; the limits are those of the defaults.

What JSON Schema cannot say stands in words: the limit of an id is one of bytes.
"""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, WithJsonSchema

from export.contract.tables import ID_MAX_BYTES
from service.settings import Limits

Schema = dict[str, Any]

EXACT: Final = 2**53
"""Below it a double says which whole number was meant."""

LIMITS: Final = Limits()

ID: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": ID_MAX_BYTES,
    "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
    "description": f"1 to {ID_MAX_BYTES} bytes of UTF-8 without control characters.",
}
LOG_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,20}-[0-9]{1,20}$"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": LIMITS.k}

Id = Annotated[StrictStr, WithJsonSchema(ID)]
LogIdText = Annotated[StrictStr, WithJsonSchema(LOG_ID)]


def _as_whole(value: object) -> object:
    """Return a number without a fraction as one; to JSON 5.0 is as whole as 5."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value


AsWhole = BeforeValidator(_as_whole)

Count = Annotated[StrictInt, AsWhole, WithJsonSchema(COUNT)]


def at_most(items: int) -> Any:
    """Return what a list says of its length; whoever reads it counts, and names the limit.

    Of what stands in it the first at fault is named: each that is costs more than what is sent.
    """
    return Field(fail_fast=True, json_schema_extra={"maxItems": items})
