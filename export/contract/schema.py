"""The schema: both sides, and the words that their features know."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from export.contract.errors import SchemaError
from export.contract.features import FIRST_WORD_ROW
from export.contract.sharing import check_tables, shared_tables, table_users
from export.contract.side import SIDES, Side, SideName
from export.contract.similarity import Similarity, extra_dims
from export.contract.strict import Strict


class Schema(Strict):
    """Everything learned about what raw values mean; `schema.json` of a run and a bundle.

    `dim` is the length of the vectors that tower files give and that are searched.
    """

    format: Literal[1] = 1
    user: Side
    item: Side
    dim: int = Field(ge=1)
    similarity: Similarity = "cosine"
    tables: dict[str, tuple[str, ...]] = {}
    rules: dict[SideName, str] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> "Schema":
        """Check that every side has features and everything they need to be read."""
        for side in SIDES:
            if not self.side(side).features:
                raise ValueError(f"{side}: expected at least one feature")
            for name, feature in self.side(side).features.items():
                if not feature.is_fitted:
                    raise ValueError(f"{side}.{name}: was never fitted to data")
        sides = [(side, self.side(side)) for side in SIDES]
        check_tables(sides)
        uses = shared_tables(sides)
        for table, users in uses.items():
            if table not in self.tables:
                raise ValueError(f"tables: {table!r} is missing, which {'.'.join(users[0])} needs")
        for table, words in self.tables.items():
            readers = [self.side(side).features[name] for side, name in uses.get(table, ())]
            is_word = all(reader.is_word(word) for reader in readers[:1] for word in words)
            if len(set(words)) != len(words) or not is_word:
                raise ValueError(f"tables: {table!r} holds a word twice, or one that is reserved")
        return self

    def side(self, name: SideName) -> Side:
        """Return one side."""
        return self.user if name == "user" else self.item

    @property
    def program_dim(self) -> int:
        """The length of what a run's tower programs give: without the lift of an inner product."""
        return self.dim - extra_dims(self.similarity)

    def words(self, side: SideName) -> dict[str, tuple[str, ...]]:
        """Return, for each feature of a side with a vocabulary, the words in row order."""
        uses = shared_tables([(side, self.side(side))]).items()
        return {name: self.tables[table] for table, users in uses for _, name in users}

    def rows(self, table: str) -> int:
        """Return the rows of a table: reserved rows and words, or the buckets of a number."""
        if table in self.tables:
            return FIRST_WORD_ROW + len(self.tables[table])
        users = table_users((side, self.side(side)) for side in SIDES).get(table, ())
        rows = next((self.side(side).features[name].own_rows() for side, name in users), None)
        if rows is None:
            raise SchemaError(f"schema.json: table {table!r} is named by a feature but missing")
        return rows

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 of the schema's canonical JSON, as `hash_of` gives it."""
        return hash_of(self.model_dump_json(exclude_none=True))

    def write(self, path: Path) -> None:
        """Write `schema.json`."""
        path.write_text(self.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")


def hash_of(text: str | bytes) -> str:
    """Return the SHA-256 of JSON, whatever its spaces; the order of keys counts.

    Taken of the file and not of what was read from it, so that an option which a later release
    adds, with its default, does not change the hash of an older schema.
    """
    canonical = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_schema(path: Path) -> Schema:
    """Read `schema.json`.

    Raises:
        SchemaError: It is not there or not a schema of this format.

    """
    try:
        return Schema.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise SchemaError(f"{path}: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Say in one line which key is at fault, what came and what would be right."""
    lines = []
    for fault in error.errors(include_url=False)[:5]:
        where = ".".join(str(part) for part in fault["loc"]) or "top level"
        got = fault["input"]
        shown = "" if isinstance(got, Mapping | list) else f", got {got!r}"
        lines.append(f"{where}: {fault['msg']}{shown}")
    return "; ".join(lines)
