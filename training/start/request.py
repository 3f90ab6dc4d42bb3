"""Which columns of the interactions are known when a request comes, and so are context."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from export.contract.features.column import distinct
from training.columns import Columns
from training.commented import Choice
from training.start.column import SAMPLE, Column
from training.start.kinds import choose
from training.start.tables import Tables
from training.telling import as_numbers, telling

MOST_WORDS = 300
TELLS_LABEL = 0.8  # AUC from which on a column looks like another name of the label
CONSTANT = 0.98  # share of rows that agree with their entity's first
AFTERWARDS = re.compile(
    r"(?i)(^|_)(ratings?|stars|scores?|like[sd]?|dislike[sd]?|comment(s|ed)?|shared?|share[sd]|"
    r"follow(s|ed)?|forward(s|ed)?|hate[sd]?|click(s|ed)?|plays?|played|watch(ed)?|dwell|reviews?|"
    r"duration|purchased?|purchases|bought|buy|cart|returned|complet\w*|finish\w*|skip\w*|"
    r"view(s|ed)?|profit|revenue|spent|stay\w*)(_|$)"
)


def context_of(tables: Tables, column: Column) -> Choice:
    """Say whether a column of the interactions is context, and what kind.

    Context are words, few of them, that differ within users and items, whose name is none of
    what happens after an item was shown, and that do not tell the label.
    """
    choice = choose(column)
    if choice.kind is None:
        return choice
    if choice.kind != "category" or len(column.counts) > MOST_WORDS:
        return Choice(f"{choice.why}; context, if known when a request comes")
    if AFTERWARDS.search(column.name):
        return Choice("named like what happens after an item was shown; context, if known before")
    fault = _fault(tables, column.name)
    return choice if fault is None else Choice(fault)


def _fault(tables: Tables, name: str) -> str | None:
    table = _sample(tables.interactions.table)
    label = Columns(table, tables.interactions.path).labels()
    _, code = distinct(table.column(name))
    for side in ("user", "item"):
        if _constant_share(distinct(table.column(f"{side}_id"))[1], code) >= CONSTANT:
            return f"a fact of the {side}: the same in all rows of one; give it in {side}s"
    told = telling(as_numbers(code, label), label, {})
    if told.get("over all", 0.5) >= TELLS_LABEL:
        return f"tells the label (AUC {told['over all']:.2f}), so it is not known beforehand"
    return None


def _constant_share(entity: NDArray[np.int32], code: NDArray[np.int32]) -> float:
    """Return the share of the later rows of each entity that hold what its first one held."""
    _, first, place = np.unique(entity, return_index=True, return_inverse=True)
    later = first[place] != np.arange(len(entity))
    same = code == code[first[place]]
    return float(same[later].mean()) if later.sum() >= 20 else 0.0


def _sample(table: pa.Table) -> pa.Table:
    """Return the first rows by user, so that rows of one user stay together."""
    if len(table) <= SAMPLE:
        return table
    codes = distinct(table.column("user_id"))[1]
    last = np.sort(codes)[SAMPLE]
    return table.filter(pa.array(codes <= last)) if last else table.slice(0, SAMPLE)


def has_exposures(tables: Tables) -> bool:
    """Say whether some row has label 0: shown and not clicked."""
    table = tables.interactions.table
    if "label" not in table.column_names:
        return False
    return bool(pc.any(pa.array(Columns(table, tables.interactions.path).labels() == 0)).as_py())
