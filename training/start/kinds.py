"""What kind of feature a column is: rules in order, the first that knows it decides."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from export.contract.features import Feature, Mismatch
from export.contract.features.text import RUNS, words_of
from training.commented import Choice
from training.start.column import Column

FEW = 30  # so many different whole numbers are words, such as hours or grades
SINGLE_SHARE = 0.8  # above it, most values stand for one row only
LONG_TEXT = 50
SEPARATORS = ("|", ";", ",")
CODE = re.compile(r"(?i)(^|_|-)(ids?|code|zip|postcode|sku|key|type|class|category|brand|cluster)$")
MOMENT = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}/\d{1,2}/\d{4}")


Rule = Callable[[Column], Choice | None]


def choose(column: Column) -> Choice:
    """Return what a column is taken for; what its kind cannot read is left out."""
    choice = next(found for rule in RULES if (found := rule(column)) is not None)
    if choice.kind is None:
        return choice
    feature: Any = TypeAdapter(Feature).validate_python(choice.options)
    for cell in column.cells if column.is_nested else column.counts:
        try:
            feature.cell(cell)
        except Mismatch as mismatch:
            return Choice(f"{cell!r:.40} stands for no {choice.kind}: expected {mismatch}")
    return choice


def _nothing(column: Column) -> Choice | None:
    if not column.cells:
        return Choice("empty in every row")
    if column.is_nested:
        return None
    only = len(column.counts) == 1 and not column.missing_share
    return Choice(f"{column.cells[0]!r:.40} in every row") if only else None


def _nested(column: Column) -> Choice | None:
    if not column.is_nested:
        return None
    lists = [cell for cell in column.cells if isinstance(cell, list) and cell]
    entries = [entry for cell in lists for entry in cell]
    lengths = {len(cell) for cell in lists}
    if entries and all(isinstance(entry, float) for entry in entries):
        if len(lengths) == 1:
            return Choice(f"{lengths.pop()} numbers in each row", {"kind": "vector"})
        return Choice("lists of numbers of several lengths")
    if entries and all(isinstance(entry, str) for entry in entries):
        told = f"lists of {len(set(entries))} different words"
        return Choice(told, {"kind": "tags"})
    if entries and all(isinstance(entry, tuple) for entry in entries):
        return Choice("words with weights", {"kind": "tags", "weights": True})
    return Choice("nested values that no kind reads")


def _moment(column: Column) -> Choice | None:
    texts = column.is_text and all(MOMENT.fullmatch(cell) for cell in column.counts)
    if texts or all(isinstance(cell, date) for cell in column.counts):
        return Choice("dates; give what they say, such as a year or an age in days, to use them")
    return None


def _number(column: Column) -> Choice | None:
    numbers = column.numbers
    if numbers is None or all(isinstance(cell, bool) for cell in column.counts):
        return None
    is_whole = bool((numbers == np.round(numbers)).all())
    if is_whole and (len(column.counts) <= FEW or _is_code(column)):
        return None
    if _skew(numbers) > 2:
        if numbers.min() >= 0:
            return Choice("skewed numbers", {"kind": "number", "log1p": True})
        return Choice("skewed numbers, some below 0", {"kind": "number", "buckets": 10})
    if len(numbers) < 200:
        return Choice("few numbers", {"kind": "number"})
    return Choice("numbers", {"kind": "number", "buckets": 10})


def _is_code(column: Column) -> bool:
    leads = any(re.match(r"0\d", cell) for cell in column.counts if isinstance(cell, str))
    return leads or CODE.search(column.name) is not None


def _skew(numbers: NDArray[np.float64]) -> float:
    deviation = float(numbers.std())
    return abs(float(((numbers - numbers.mean()) ** 3).mean())) / deviation**3 if deviation else 0


def _vector(column: Column) -> Choice | None:
    """Numbers parted by commas or spaces, as many in each cell, some of them no whole ones."""
    if not column.is_text or len(column.counts) < len(column.cells) / 2:
        return None
    cells = [re.split(r"\s*,\s*|\s+", cell) for cell in column.cells]
    lengths = {len(cell) for cell in cells}
    if len(lengths) != 1 or min(lengths) < 3:
        return None
    try:
        numbers = np.array([[float(part) for part in cell] for cell in cells])
    except ValueError:
        return None
    whole = (numbers == np.round(numbers)).all()
    return None if whole else Choice(f"{lengths.pop()} numbers in each cell", {"kind": "vector"})


def _tags(column: Column) -> Choice | None:
    if not column.is_text:
        return None
    for separator in SEPARATORS:
        lists = [[part.strip() for part in cell.split(separator)] for cell in column.cells]
        parts = Counter(part for one in lists for part in one if part)
        if sum(len(one) > 1 for one in lists) < 0.2 * len(lists):
            continue
        if not _are_words(parts) or not _split_helps(column, lists, parts):
            continue
        options = {"kind": "tags"} | ({} if separator == "," else {"separator": separator})
        return Choice(f"lists of {len(parts)} different words, parted by {separator!r}", options)
    return None


def _are_words(parts: Counter[str]) -> bool:
    """Say whether these are names of a few words each, and no clauses of sentences."""
    return sum(len(words_of(part)) for part in parts) <= 3 * len(parts)


def _split_helps(column: Column, lists: list[list[str]], parts: Counter[str]) -> bool:
    """Say whether parts come back where whole cells do not; '(250,500]' is no list of two."""
    if len(parts) < len(column.counts):
        return True
    repeated = sum(count for count in parts.values() if count > 1)
    many = sum(map(len, lists)) >= 2.5 * len(lists)
    return many and column.single_share > 0.5 and repeated >= 0.3 * parts.total()


def _text(column: Column) -> Choice | None:
    if not column.is_text or not _is_prose(column):
        return None
    lengths = np.array([len(words_of(cell)) for cell in column.cells])
    is_long = lengths.mean() >= 3 and len(column.counts) > len(column.cells) / 2
    is_single = lengths.mean() >= 1.5 and column.single_share > SINGLE_SHARE
    if not (is_long or is_single):
        return None
    reach = int(np.quantile(lengths, 0.9))
    longer = {} if reach <= LONG_TEXT else {"max_length": min(200, -(-reach // 10) * 10)}
    why = f"text of {lengths.mean():.0f} words"
    if column.single_share > SINGLE_SHARE:
        why += "; almost all differ, so their words are read"
    return Choice(why, {"kind": "text"} | longer)


def _is_prose(column: Column) -> bool:
    """Say whether most cells have spaces or a script without them; `S-000190` has neither."""
    prose = sum(bool(re.search(r"\s", cell) or RUNS.search(cell)) for cell in column.cells)
    return prose >= len(column.cells) / 2


def _category(column: Column) -> Choice | None:
    if column.single_share > SINGLE_SHARE:
        share = f"{column.single_share:.0%}"
        return Choice(f"{share} of the values stand in one row only: as good as an id")
    told = f"{len(column.counts)} different words"
    if column.numbers is not None and not all(isinstance(c, bool) for c in column.counts):
        told = f"{len(column.counts)} different whole numbers, taken as words"
    return Choice(told, {"kind": "category"})


RULES: tuple[Rule, ...] = (
    _nothing,
    _nested,
    _moment,
    _number,
    _vector,
    _tags,
    _text,
    _category,
)
