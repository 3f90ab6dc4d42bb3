"""Given negatives: pairs of user and item that a file lists."""

from typing import Literal

import numpy as np
from pydantic import Field

from export.contract.errors import DataError
from export.contract.tables import read_ids, read_table
from training.metrics import UserItems
from training.negatives.base import Indices, NegativeKind, Shown, Source
from training.negatives.lists import Lists


class Given(NegativeKind):
    """Each clicked row against up to `n` items that `file` lists for its user.

    `file` is a table in the data folder with columns user_id and item_id. Pairs whose item has no
    train row are passed over: what is held out of training is no negative either.
    """

    needs_shown = True

    kind: Literal["given"] = "given"
    file: str
    n: int = Field(2, ge=1)

    @property
    def data_files(self) -> tuple[str, ...]:
        """The file of pairs."""
        return (self.file,)

    def source(self, shown: Shown) -> Source:
        """Return what draws from each user's pairs.

        Raises:
            DataError: The file cannot be read, names an unknown id, or has no pair to draw.
        """
        path = shown.folder / self.file
        table = read_table(path)

        def positions(column: str, known: dict[str, int]) -> Indices:
            found = []
            for row, one in enumerate(read_ids(table, column, path), start=1):
                if one not in known:
                    raise DataError(
                        f"{path}: column {column!r}, row {row}: got {one!r}, expected an id that "
                        f"the table of {column.removesuffix('_id')}s lists"
                    )
                found.append(known[one])
            return np.array(found, dtype=np.int64)

        user = positions("user_id", {one: at for at, one in enumerate(shown.user_ids)})
        item = positions("item_id", {one: at for at, one in enumerate(shown.item_ids)})
        drawable = shown.trainable[item]
        if not drawable.any():
            raise DataError(f"{path}: none of its {len(item)} pairs has an item with a train row")
        lists = UserItems.from_pairs(user[drawable], item[drawable], len(shown.user_ids))
        return Lists(shown, lists, self.n, of_rows=False)
