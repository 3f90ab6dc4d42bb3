"""The ranker's part of the contract: what it takes and gives, and the same lines to run it.

An item becomes a code once, and a code is all that scoring reads of it. A user is scored from the
features beside the history, the keys of the history's items, and the codes of candidates.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from export.contract.errors import BundleError
from export.contract.features import Input
from export.contract.schema import Schema, explain
from export.contract.side import Arrays, Record, Side
from export.contract.strict import Strict

Codes = NDArray[np.float32]
Run = Callable[[Arrays], NDArray[np.float32]]

CHUNK = 1024
"""Items coded by one run, so that memory does not grow with their number."""


class RankerFacts(Strict):
    """What a ranker is: `ranker.json` of a run and a bundle.

    `history` is the user's feature whose items are attended to, `n` how many of them at most;
    `dim` the length of a key, `width` that of a code, which begins with the key.
    """

    format: Literal[1] = 1
    kind: str
    history: str
    n: int = Field(ge=1)
    dim: int = Field(ge=1)
    width: int = Field(ge=1)

    def write(self, path: Path) -> None:
        """Write `ranker.json`."""
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @property
    def inputs(self) -> list[Input]:
        """The inputs of `ranker.onnx` behind the user's features."""
        return [
            Input("history", "float32", ("batch", "history.length", self.dim)),
            Input("items", "float32", ("candidates", self.width)),
            Input("user", "int64", ("candidates",)),
        ]


def read_facts(path: Path, schema: Schema) -> RankerFacts:
    """Read `ranker.json`.

    Raises:
        BundleError: It is not there, no such document, or does not fit the schema.
    """
    try:
        facts = RankerFacts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise BundleError(f"{path}: {explain(error)}") from error
    if facts.history not in schema.user.preference:
        raise BundleError(f"{path}: history: the user has no preference {facts.history!r}")
    return facts


def without_history(schema: Schema, history: str) -> Schema:
    """Return the schema whose users lack the history, which a ranker is given as keys instead."""
    user = schema.user
    rest = {name: one for name, one in user.preference.items() if name != history}
    reduced = Side(
        content=user.content,
        context=user.context,
        preference=rest,
        present_when=user.present_when,
    )
    return schema.model_copy(update={"user": reduced})


class Ranker:
    """Codes items, and scores candidates for users; of a run or of a bundle.

    code: the arrays of `Side.inputs` of items -> float32[items, width].
    score: those of users without the history, and `RankerFacts.inputs` -> float32[candidates].
    """

    def __init__(self, schema: Schema, facts: RankerFacts, code: Run, score: Run) -> None:
        self.facts = facts
        self._item = schema.item
        self._user = without_history(schema, facts.history).user
        self._code, self._score = code, score

    def code(self, records: Sequence[Record], present: Sequence[bool] | None = None) -> Codes:
        """Return float32[records, width].

        `present` says whose preference counts; by default wherever one is known.
        """
        if present is None:
            present = [self._item.has_preference(record) for record in records]
        codes = np.empty((len(records), self.facts.width), dtype=np.float32)
        for start in range(0, len(records), CHUNK):
            part = slice(start, start + CHUNK)
            codes[part] = self._code(self._item.pack(records[part], present[part]))
        return codes

    def score(
        self,
        records: Sequence[Record],
        present: Sequence[bool],
        histories: Sequence[Codes],
        items: Codes,
        user: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Return float32[candidates], the chance of a click in 0..1.

        Args:
            records: Parsed users.
            present: Whose preference counts; of the others the history is not looked at either.
            histories: For each user codes (or keys) of the newest items met, oldest first.
            items: float32[candidates, width], codes.
            user: int64[candidates], the place in `records` of each candidate's user.
        """
        arrays = self._user.pack(records, present)
        shown = [one if is_in else one[:0] for one, is_in in zip(histories, present, strict=True)]
        arrays["history"] = padded(shown, self.facts.dim, self.facts.n)
        return self._score(arrays | {"items": items, "user": user})


def padded(histories: Sequence[Codes], dim: int, most: int) -> Codes:
    """Return float32[users, length, dim], the newest keys of each, NaN behind, length 1 or more."""
    newest = [one[-most:, :dim] for one in histories]
    length = max(1, *map(len, newest)) if newest else 1
    keys = np.full((len(newest), length, dim), np.nan, dtype=np.float32)
    for row, one in zip(keys, newest, strict=True):
        row[: len(one)] = one
    return keys
