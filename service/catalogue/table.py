"""The catalogue of a bundle: its records, read one at a time from an Arrow table."""

from collections.abc import Iterable, Mapping

import numpy as np

from export.contract.bundle import Bundle
from export.contract.features import Mismatch, Raw
from export.contract.side import Record, Side
from service.index.ids import Ids


class Catalogue:
    """Records, popularity and ids of a bundle; nothing here changes, so forks share it all.

    Arrow's thread pools do not survive a fork, hence plain slicing only.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._side: Side = bundle.schema.item
        self.table = bundle.records.combine_chunks()
        named = (name for name in self._side.features if name in self.table.column_names)
        self._columns = {name: self.table.column(name) for name in named}
        self._given = bundle.item_vectors
        self.ids = Ids(bundle.ids)
        self.popularity = np.nan_to_num(bundle.popularity)
        # A stable sort: among equals, the order of the bundle.
        self.by_popularity = np.argsort(-self.popularity, kind="stable").astype(np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def record(self, row: int) -> dict[str, Raw]:
        """Return the parsed record of a row; a value that cannot be read is missing."""
        values = {name: self._value(name, row) for name in self._columns}
        return {name: value for name, value in values.items() if value is not None}

    def groups(self, row: int) -> tuple[Record, Record]:
        """Return the content and the preference of a row."""
        record = self.record(row)
        content = {name: record[name] for name in self._side.content if name in record}
        preference = {name: record[name] for name in self._side.preference if name in record}
        return content, preference

    def words(self, feature: str, row: int) -> Mapping[str, float] | Iterable[str]:
        """Return the words of one feature; nothing where it is missing."""
        return self._side.features[feature].words(self._value(feature, row))

    def given_vector(self, feature: str, row: int) -> list[float]:
        """Return the given vector behind a user's feature; nothing where there is none."""
        vector = self._given[feature][row]
        return [] if np.isnan(vector[0]) else vector.tolist()

    def _value(self, name: str, row: int) -> Raw:
        if name not in self._columns:
            return None
        try:
            return self._side.features[name].cell(self._columns[name][row].as_py())
        except Mismatch:
            return None
