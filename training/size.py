"""The size of a tower file, known once the schema is fitted: one ONNX file holds 2 GiB."""

from dataclasses import dataclass

from export.contract.errors import ConfigError
from export.contract.schema import Schema
from export.contract.sharing import table_users
from export.contract.side import SIDES, SideName
from training.config import TrainConfig

ONNX_LIMIT = 2**31 - 1  # of one protobuf message
NETWORKS = 2**26  # left for what is no table
FLOAT, KEY = 4, 8  # bytes of a number, and of what a vocabulary holds beside a word's text


@dataclass(frozen=True)
class TableSize:
    """A table as one side's file holds it: its rows, and its words once a feature."""

    table: str
    rows: int
    width: int
    words_bytes: int

    @property
    def size_bytes(self) -> int:
        """Bytes in the file."""
        return FLOAT * self.rows * self.width + self.words_bytes


def table_sizes(config: TrainConfig, schema: Schema, side: SideName) -> list[TableSize]:
    """Return the tables of one tower file, the largest first."""
    sizes = []
    for table, users in table_users([(side, schema.side(side))]).items():
        words = schema.tables.get(table, ())
        text = sum(len(word.encode()) + KEY for word in words)
        width = schema.side(side).features[users[0][1]].dim or config.embedding(side)
        sizes.append(TableSize(table, schema.rows(table), width, text * len(users)))
    return sorted(sizes, key=lambda one: -one.size_bytes)


def check_size(config: TrainConfig, schema: Schema) -> None:
    """Check that both towers can become one ONNX file each, before anything is trained.

    Raises:
        ConfigError: One cannot; names its largest tables and what makes them smaller.

    """
    for side in SIDES:
        sizes = table_sizes(config, schema, side)
        total = sum(one.size_bytes for one in sizes)
        if total <= ONNX_LIMIT - NETWORKS:
            continue
        largest = ", ".join(f"{o.table!r} ({o.rows:,} rows of {o.width})" for o in sizes[:3])
        raise ConfigError(
            f"{side} tower: its tables take {total / 2**30:.1f} GiB, one ONNX file holds 2; the "
            f"largest are {largest}; give their features a smaller dim, a higher min_count, or "
            "vocabulary: hashed with fewer buckets"
        )
