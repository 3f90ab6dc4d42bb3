"""HTTP dates (RFC 9110, 5.6.7): moments in whole seconds, as conditional requests carry them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import formatdate

from service.errors import InvalidRecord

FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
"""The one that is written, and the two that have to be read."""

EXPECTED = "one HTTP date, as 'Wed, 20 Nov 2024 07:06:40 GMT'"


def unmodified_since(given: Sequence[str]) -> float | None:
    """Return the moment that `If-Unmodified-Since` gives, in seconds; None: it was not sent.

    Raises:
        InvalidRecord: It is no HTTP date, or was sent twice.

    """
    if not given:
        return None
    text = ", ".join(given)
    for form in FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise InvalidRecord.of("If-Unmodified-Since", text, EXPECTED)


def http_date(moment: datetime) -> str:
    """Return the HTTP date of a moment, or the last one before it."""
    return formatdate(moment.replace(microsecond=0).timestamp(), usegmt=True)
