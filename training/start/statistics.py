"""Which statistics of behaviour a first configuration declares on the log."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from export.contract.features.text import words_of
from training.commented import Choice
from training.start.column import Column

TITLE_WORDS = 200  # of a taste in titles
TELLING_WORDS = 10  # a profile over fewer words says little
WINDOWS_DAYS = (30, 14, 7, 4, 2, 1)
WINDOWS_IN_SPAN = 7


@dataclass(frozen=True)
class Behaviour:
    """What there is to take statistics of."""

    has_exposures: bool
    span_days: float
    items: Mapping[str, Choice]
    columns: Mapping[str, Column]

    @property
    def window(self) -> str | None:
        """The longest window that fits into the log seven times."""
        fitting = [d for d in WINDOWS_DAYS if d * WINDOWS_IN_SPAN <= self.span_days]
        return f"{fitting[0]}d" if fitting else None

    @property
    def profiled(self) -> list[str]:
        """The item features whose words make a taste."""
        return [
            name
            for name, choice in self.items.items()
            if is_profiled(choice) and self._words(name, choice) >= TELLING_WORDS
        ]

    def _words(self, name: str, choice: Choice) -> int:
        column = self.columns[name]
        if choice.kind == "category":
            return len(column.counts)
        if choice.kind == "text":
            return len({word for cell in column.cells for word in words_of(cell)})
        separator = choice.options.get("separator", ",")
        lists = (c.split(separator) if isinstance(c, str) else c for c in column.cells)
        return len({repr(word) for one in lists for word in one})


def is_profiled(choice: Choice) -> bool:
    """Say whether a taste may be told in the words of such a feature; of a long text it is not."""
    is_title = choice.kind == "text" and "max_length" not in choice.options
    return is_title or choice.kind in ("category", "tags")


def user_statistics(behaviour: Behaviour, taken: Collection[str]) -> dict[str, Choice]:
    """Return the recent items, a taste for each item feature of many words, and the rate."""
    recent = {"kind": "sequence", "aggregate": "last", "n": 50, "table": "item"}
    found = {"recent": Choice("the newest clicked items; shares rows with own_id", recent)}
    for name in behaviour.profiled:
        options: dict[str, Any] = {"kind": "tags", "aggregate": "profile"}
        options |= {"of": name, "table": name}
        if behaviour.items[name].kind == "text":  # the heaviest words of titles are "the" and "of"
            options |= {"words": TITLE_WORDS}
        found[f"taste_{name}"] = Choice(f"{name} of the clicked items", options)
    if behaviour.has_exposures:
        found["click_rate"] = Choice("how often the user clicks what is shown", _rate())
    return _free(found, taken)


def item_statistics(behaviour: Behaviour, taken: Collection[str]) -> dict[str, Choice]:
    """Return the identity, counts of all time and of a last window, and the rate."""
    own = {"kind": "category", "aggregate": "identity", "table": "item"}
    found = {"own_id": Choice("the item itself, where it has been clicked often enough", own)}
    if behaviour.has_exposures:
        found["shown"] = Choice("rows of any label", _count())
        found["item_click_rate"] = Choice("smoothed towards that of all items", _rate())
    where: dict[str, Any] = {"where": {"label": 1}}
    found["clicks"] = Choice("rows of label 1", _count(**where))
    if (window := behaviour.window) is not None:
        name = f"clicks_{window}"
        found[name] = Choice("what is popular now", _count(**where, window=window))
    return _free(found, taken)


def _count(**more: Any) -> dict[str, Any]:
    return {"kind": "number", "aggregate": "count", **more, "log1p": True}


def _rate() -> dict[str, Any]:
    return {"kind": "number", "aggregate": "rate", "smoothing": 5}


def _free(found: dict[str, Choice], taken: Collection[str]) -> dict[str, Choice]:
    """Rename what a column is already called."""
    return {_name(name, taken): choice for name, choice in found.items()}


def _name(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name = f"{name}_of_log"
    return name
