"""What every rival and every bare part is given: the bundle's user tower and index, and a Redis."""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from export.contract.features import Category
from export.contract.schema import read_schema
from export.contract.strict import Strict

PLAN = "RECALL_HTTP_GIVEN"
"""The variable of the environment that names the file."""


class Given(Strict):
    """Files, the settings of the index, and where users are stored.

    ids: a JSON list of the items, in the order of the index's labels.
    answer_bytes: of the service's answer, for a route that gives as many.
    """

    redis: str
    key: str
    users: int
    schema_file: Path
    tower: Path
    index: Path
    ids: Path
    dim: int
    ef: int
    answer_bytes: int

    @classmethod
    def of_environment(cls) -> "Given":
        """Read the file that the environment names."""
        return cls.model_validate_json(Path(os.environ[PLAN]).read_bytes())

    def write(self, path: Path) -> dict[str, str]:
        """Write the file; return the environment of who is to read it."""
        path.write_text(self.model_dump_json(), encoding="utf-8")
        return {PLAN: str(path)}

    @cached_property
    def _names(self) -> tuple[list[str], list[str]]:
        features = read_schema(self.schema_file).user.features.items()
        strings = [name for name, one in features if isinstance(one, Category)]
        return strings, [name for name, one in features if not isinstance(one, Category)]

    def pack(self, stored: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Turn what is stored of a user, which has all features, into the tower's inputs."""
        record = stored["content"] | stored["preference"]
        strings, numbers = self._names
        return {
            "strings": np.array([[record[name] for name in strings]], dtype=object),
            "numbers": np.array([[record[name] for name in numbers]], dtype=np.float32),
            "present": np.array([[True]]),
        }

    def read_ids(self) -> list[str]:
        """Return the ids of the items."""
        found: list[str] = json.loads(self.ids.read_bytes())
        return found

    def open_index(self) -> hnswlib.Index:
        """Open the graph."""
        index = hnswlib.Index(space="ip", dim=self.dim)
        index.load_index(str(self.index))
        index.set_ef(self.ef)
        return index
