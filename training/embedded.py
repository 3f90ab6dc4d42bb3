"""A run's vectors of everyone as of the end of training, and the scores they give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.contract.side import Record
from training.data import Data
from training.metrics import Scores, dot_scores
from training.parts import TRAIN, VALIDATION, Split
from training.prepare import SIDES, log_of
from training.rows import RowEncoder
from training.subject import Subject, Towers, Vectors, embed_all


@dataclass(frozen=True)
class Embedded:
    """The data as a run reads it, the records of users and items, and their vectors."""

    towers: Towers
    data: Data
    records: dict[str, list[Record]]
    users: Vectors
    items: Vectors

    @classmethod
    def of(cls, run: Subject, data: Data, split: Split) -> "Embedded":
        """Embed everyone, from data read with the features of the run."""
        towers = run.towers
        log = log_of(data, split, (TRAIN, VALIDATION))
        records: dict[str, list[Record]] = {
            side: list(RowEncoder(towers.schema, side, data, log).raw_records()) for side in SIDES
        }
        users = embed_all(towers, "user", records["user"])
        return cls(towers, data, records, users, embed_all(towers, "item", records["item"]))

    @property
    def scores(self) -> Scores:
        """Score everyone as of the end of training."""
        return dot_scores(self.users, self.items)

    def items_as_cold(self) -> Vectors:
        """Embed the items as if none had been seen: their preference hidden."""
        hidden = self.towers.schema.item.preference.keys()
        bare = [{n: v for n, v in r.items() if n not in hidden} for r in self.records["item"]]
        return embed_all(self.towers, "item", bare)

    def row_scores(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score rows in the context each was shown in; a user in one context is embedded once."""
        records, place = self.in_context(rows)
        return self._products(records, place, self.data.interactions.item[rows])

    def in_context(self, rows: NDArray[np.int64]) -> tuple[list[Record], NDArray[np.int64]]:
        """Return the records of the rows' users, each in one context, and the place of each row's.

        A user in one context stands once.
        """
        interactions = self.data.interactions
        carried = interactions.carried["user"]
        context = {name: carried[name] for name in self.towers.schema.user.context}
        keys = np.stack([interactions.user[rows], *(c.code[rows] for c in context.values())])
        distinct, place = np.unique(keys, axis=1, return_inverse=True)
        records: list[Record] = []
        for user, *codes in distinct.T.tolist():
            record = dict(self.records["user"][user])
            for (name, column), code in zip(context.items(), codes, strict=True):
                if column.values[code] is not None:
                    record[name] = column.values[code]
            records.append(record)
        return records, place.reshape(-1)

    def _products(
        self, users: Sequence[Record], place: NDArray[np.int64], item: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        vectors = embed_all(self.towers, "user", users)
        found: NDArray[np.float32] = np.einsum("rd,rd->r", vectors[place], self.items[item])
        return found
