"""What one ONNX file has to hold of a tower, known once the schema is fitted: 2 GiB at most."""

from dataclasses import dataclass

from export.contract.errors import ConfigError
from export.contract.features import Category
from export.contract.model_file import LARGE_TABLE, LARGEST_FILE
from export.contract.schema import Schema
from export.contract.sharing import table_users
from export.contract.side import SIDES, SideName
from training.config import TrainConfig

NETWORKS = 2**26  # left for what is no table
FLOAT, KEY = 4, 8  # bytes of a number, and of what a vocabulary holds beside a word's text


@dataclass(frozen=True)
class TableSize:
    """A table as one side's tower holds it: its rows, and its words once a feature."""

    table: str
    rows: int
    width: int
    words_bytes: int

    @property
    def rows_bytes(self) -> int:
        """Bytes of the rows, wherever they lie."""
        return FLOAT * self.rows * self.width

    @property
    def file_bytes(self) -> int:
        """Bytes in the ONNX file: large tables lie beside it, words do not."""
        return self.words_bytes + (self.rows_bytes if self.rows_bytes < LARGE_TABLE else 0)


def table_sizes(config: TrainConfig, schema: Schema, side: SideName) -> list[TableSize]:
    """Return the tables of one tower, first what takes most of its ONNX file."""
    sizes = []
    features = schema.side(side).features
    for table, users in table_users([(side, schema.side(side))]).items():
        words = schema.tables.get(table, ())
        text = sum(len(word.encode()) + KEY for word in words)
        # All categories are one lookup, so the name of its column is before each word.
        names = [len(n.encode()) + 1 if isinstance(features[n], Category) else 0 for _, n in users]
        words_bytes = sum(text + len(words) * name for name in names)
        width = features[users[0][1]].dim or config.embedding(side)
        sizes.append(TableSize(table, schema.rows(table), width, words_bytes))
    return sorted(sizes, key=lambda one: -one.file_bytes)


def check_size(config: TrainConfig, schema: Schema) -> None:
    """Check that both towers can become one ONNX file each, before anything is trained.

    Tables of any size can: large ones lie beside the file. Words cannot, nor very many tables.

    Raises:
        ConfigError: One cannot; names its largest tables and what makes them smaller.

    """
    for side in SIDES:
        sizes = table_sizes(config, schema, side)
        total = sum(one.file_bytes for one in sizes)
        if total <= LARGEST_FILE - NETWORKS:
            continue
        largest = ", ".join(
            f"{o.table!r} ({o.rows:,} rows of {o.width}, {o.words_bytes:,} bytes of words)"
            for o in sizes[:3]
        )
        raise ConfigError(
            f"{side} tower: words and tables below {LARGE_TABLE / 2**20:.0f} MiB take "
            f"{total / 2**30:.1f} GiB, one ONNX file holds 2; the largest are {largest}; give "
            "their features a higher min_count, vocabulary: hashed, or a smaller dim"
        )
