"""What every declared statistic promises, and the two small languages they share."""

import math
import re
from abc import abstractmethod
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictFloat, StrictInt
from pydantic import StrictStr as Text

from export.contract.errors import ConfigError
from export.contract.statistics.events import Events, Lookup
from export.contract.strict import Strict

Side = Literal["user", "item"]
Gives = Literal["number", "sequence", "tags", "category", "vector"]
if TYPE_CHECKING:
    Floats = array[float]
else:
    Floats = array  # which takes no parameter before Python 3.12
Value = float | str | list[str] | dict[str, float] | Floats | None
Scalar = StrictBool | StrictInt | StrictFloat | Text

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """Seconds in a duration such as `7d`, `12h`, `30m` or `90s`; raises ValueError on others."""
    found = re.fullmatch(r"([0-9]+)([smhd])", duration)
    if found is None or int(found[1]) == 0:
        raise ValueError(
            f"got {duration!r}, expected a whole number above 0 and a unit s, m, h or d, as in 7d"
        )
    return float(int(found[1]) * _UNITS[found[2]])


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"got {value!r}, expected text such as 7d, 12h or 30m: say the unit")
    seconds(value)
    return value


def _wanted(value: object) -> object:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _answerable(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if not values:
        raise ValueError("got an empty list, which no row matches: name at least one value")
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise ValueError("got a value that is not finite, which no row matches")
    return values


def _clicked() -> "Where":
    return {"label": (1,)}


Window = Annotated[str, BeforeValidator(_duration)]
Wanted = Annotated[tuple[Scalar, ...], BeforeValidator(_wanted), AfterValidator(_answerable)]
Where = dict[str, Wanted]


class Aggregate(Strict):
    """A statistic of the events of one entity, before a moment.

    It is present if the entity has at least one event strictly before that moment, of any label,
    whatever `where` and `window` say: shown and never clicked is a count of 0, not a missing one.
    """

    aggregate: str
    where: Where = Field(default_factory=dict)
    """Column -> value, or list of values any of which will do; all columns must match."""

    gives: ClassVar[Gives]
    """The feature kind that can hold the value."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Whose statistic it can be: what asks items for words or vectors is a user's."""
        asks_items = self.words_of is not None or self.vectors_of is not None
        return ("user",) if asks_items else ("user", "item")

    @property
    def words_of(self) -> str | None:
        """The item feature whose words `items` has to know; None: it asks for no words."""
        return None

    @property
    def vectors_of(self) -> str | None:
        """The file of the other side's vectors that `items` has to know; None: it asks for none."""
        return None

    @property
    def takes_history(self) -> bool:
        """Whether the `history` of a request is enough to fold it."""
        return False

    @abstractmethod
    def fold(
        self,
        events: Events,
        now: float,
        *,
        items: Lookup | None = None,
        exclude: str | None = None,
    ) -> Value:
        """Return the value just before `now`, from all events of one entity; None: missing.

        `items` knows the catalogue; without it every id is taken as known. `exclude` is the id
        on the other side that the value is to predict: it never stands in the history that
        predicts it. Counts and rates need neither.
        """


class Windowed(Aggregate):
    """A statistic of numbers, of all events before the moment or of a window that ends there."""

    window: Window | None = None
    """Only the events of [now - window, now); needs timestamps."""

    @property
    def window_s(self) -> float | None:
        """The window in seconds."""
        return None if self.window is None else seconds(self.window)

    def matching(self, past: Events, now: float) -> NDArray[np.bool_]:
        """Which of the events before `now` lie in the window and match `where`."""
        mask = matches(self.where, past.facts(), len(past))
        if self.window_s is None:
            return mask
        if not math.isfinite(now):
            raise ValueError(f"now = {now}: a window of {self.window} needs a moment to end at")
        return mask & (past.time >= now - self.window_s)


class Recent(Aggregate):
    """A statistic of the newest `n` events that match."""

    n: int = Field(default=50, ge=1, le=10_000)
    where: Where = Field(default_factory=_clicked)

    @property
    def takes_history(self) -> bool:
        """Whether `where` can be answered for events that are known to have label 1 only."""
        return self.where.keys() <= {"label"} and 1 in self.where.get("label", (1,))

    def newest(
        self, events: Events, now: float, items: Lookup | None, exclude: str | None
    ) -> list[str] | None:
        """Return the ids on the other side in the newest `n` events that match, oldest first.

        Unknown ids are dropped before anything else is asked, `exclude` before the cut to `n`.
        None: there is no event at all.
        """
        past = events.before(now)
        if items is not None:
            past, _ = past.known(items)
        if not len(past):
            return None
        mask = matches(self.where, past.facts(), len(past))
        return [other for other in past.other[mask].tolist() if other != exclude][-self.n :]


def matches(where: Where, facts: Mapping[str, NDArray[Any]], size: int) -> NDArray[np.bool_]:
    """Which of `size` rows match; raises ConfigError for a column or type that is not there."""
    mask = np.ones(size, dtype=bool)
    for name, wanted in where.items():
        if name not in facts:
            raise ConfigError(
                f"where.{name}: the interactions have no such column; they have {sorted(facts)}"
            )
        mask &= _any_of(name, facts[name], wanted)
    return mask


def _any_of(name: str, column: NDArray[Any], wanted: tuple[Scalar, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(len(column), dtype=bool)
    for value in wanted:
        _same_type(name, column, value)
        mask |= column == value
    return mask


def _same_type(name: str, column: NDArray[Any], value: Scalar) -> None:
    """Refuse text for numbers and numbers for text: numpy finds them unequal without a word."""
    kind: object = column.dtype.type
    if column.dtype.kind == "O":
        kind = next((type(entry) for entry in column if entry is not None), type(value))
    holds_text = isinstance(kind, type) and issubclass(kind, str)
    if holds_text and not isinstance(value, str):
        raise ConfigError(
            f"where.{name}: got the number {value!r}, but the column holds text; "
            f"write '{value}' in quotes"
        )
    if not holds_text and isinstance(value, str):
        raise ConfigError(
            f"where.{name}: got the text {value!r}, but the column holds numbers; "
            "write a number without quotes"
        )
