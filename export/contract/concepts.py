"""What training knew of parent concepts, told to entities that have nothing of their own yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from export.contract.column_table import ColumnTable
from export.contract.errors import DataError
from export.contract.features import Raw
from export.contract.features.column import Parsed
from export.contract.features.number import Numbers
from export.contract.schema import Schema
from export.contract.side import SIDES, Record, SideName
from export.contract.tables import read_table

COLUMNS = pa.schema(
    {"side": pa.string(), "feature": pa.string(), "word": pa.string(), "value": pa.float64()}
)

Values = Mapping[str, float]
"""Word of the concept -> the statistic of all its entities at the end of training."""


@dataclass(frozen=True)
class ConceptTable:
    """The statistics of each side with `by`: feature -> word -> value."""

    schema: Schema
    values: Mapping[tuple[SideName, str], Values] = field(default_factory=dict)

    def join(self, side: SideName, record: Record, own: Record | None = None) -> Record:
        """Return a record with what its concepts tell of the features that it does not give.

        Args:
            side: Whose record.
            record: Parsed; a feature that it gives stays.
            own: What training wrote of this entity, if it knew it. As long as the entity is of
                the same concept that stands, missing or not: it leaves the entity's own rows out.

        """
        found: dict[str, Raw] = {}
        for name, by in self.schema.side(side).concepts.items():
            word = record.get(by)
            if name in record or word is None:
                continue
            if own is not None and own.get(by) == word:
                value = own.get(name)
            else:
                value = self.values.get((side, name), {}).get(str(word))
            if value is not None:
                found[name] = value
        return {**record, **found} if found else record

    def join_columns(self, side: SideName, table: ColumnTable) -> ColumnTable:
        """Return a table with what its concepts tell of the features that have no column in it."""
        columns = dict(table.columns)
        for name, by in self.schema.side(side).concepts.items():
            if name in table.features:
                continue
            words = columns[by]
            assert isinstance(words, Parsed)  # as all of a category's columns are
            told = self.values.get((side, name), {})
            values = [told.get(str(word), np.nan) for word in words.values]
            columns[name] = Numbers(np.array(values, dtype=np.float64)[words.code])
        return replace(table, columns=columns)

    def write(self, path: Path) -> None:
        """Write Parquet with columns side, feature, word and value; nothing if there is none."""
        if not self.values:
            return
        rows = [
            {"side": side, "feature": feature, "word": word, "value": value}
            for (side, feature), values in self.values.items()
            for word, value in values.items()
        ]
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows, COLUMNS), path)


def read_concepts(path: Path, schema: Schema) -> ConceptTable:
    """Read what `ConceptTable.write` wrote, for a schema; empty if that needs none.

    Raises:
        DataError: It is not there though the schema needs it, or holds something else.

    """
    found: dict[tuple[SideName, str], dict[str, float]] = {}
    for side in SIDES:
        found |= {(side, name): {} for name in schema.side(side).concepts}
    if not found:
        return ConceptTable(schema)
    table = read_table(path)
    try:
        rows = table.select(COLUMNS.names).cast(COLUMNS)
    except (KeyError, pa.ArrowException) as error:
        raise DataError(f"{path}: expected columns {', '.join(COLUMNS.names)}: {error}") from error
    columns = (rows.column(name).to_pylist() for name in COLUMNS.names)
    for number, (side, name, word, value) in enumerate(zip(*columns, strict=True), start=1):
        if (side, name) not in found or word is None or value is None or not np.isfinite(value):
            got = f"{side}.{name}, {word!r}: {value}"
            raise DataError(
                f"{path}: row {number}: got {got}, expected a word and a finite value of a feature "
                f"with by ({', '.join(f'{s}.{n}' for s, n in found)})"
            )
        found[side, name][word] = value
    return ConceptTable(schema, found)
