"""Golden queries: records with the answers a bundle must give, asked again when it is opened."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from export.contract.bundle import Bundle
from export.contract.errors import BundleError
from export.contract.features import Raw
from export.contract.schema import Schema, explain
from export.contract.side import Record, SideName
from export.contract.strict import Strict

if TYPE_CHECKING:
    from export.embedder import Embedder

Vectors = NDArray[np.float32]

TOLERANCE = 1e-4
USERS, ITEMS, TOP = 8, 8, 10


class GoldenUser(Strict):
    """An invented user: its vector, the items nearest to it, and their scores."""

    record: dict[str, Any]
    present: bool
    vector: list[float]
    items: list[str]
    scores: list[float]


class GoldenItem(Strict):
    """An item of the catalogue and its vector."""

    id: str
    record: dict[str, Any]
    present: bool
    vector: list[float]


class GoldenRank(Strict):
    """One of the golden users with a history, and the chances of all golden items, in order.

    `history` are places among the golden items, oldest first.
    """

    user: int
    history: list[int]
    chances: list[float]


class Golden(Strict):
    """All golden queries of a bundle; each record stands twice, with and without preference.

    `ranks` and, item by item, `codes` are there where the bundle has a ranker.
    """

    users: list[GoldenUser]
    items: list[GoldenItem]
    codes: list[list[float]] = []
    ranks: list[GoldenRank] = []


def golden_queries(
    embedder: "Embedder", ids: Sequence[str], records: Sequence[Record], vectors: Vectors
) -> Golden:
    """Ask both towers, and record what they answer.

    Users are invented, since a bundle holds no data of real ones.

    Args:
        embedder: The towers.
        ids: The catalogue's ids.
        records: Its parsed records.
        vectors: Its vectors, float32[items, dim].

    """
    users = [
        _golden_user(embedder, user, present, ids, vectors)
        for user in invented(embedder.schema, "user", USERS)
        for present in (True, False)
    ]
    rows = np.unique(np.linspace(0, max(0, len(ids) - 1), ITEMS).astype(int))[: len(ids)]
    items = [
        GoldenItem(
            id=ids[row],
            record=_as_json(records[row]),
            present=present,
            vector=embedder.embed("item", [records[row]], [present])[0].tolist(),
        )
        for row in rows
        for present in (True, False)
    ]
    return Golden(users=users, items=items)


def _golden_user(
    embedder: "Embedder", user: Record, present: bool, ids: Sequence[str], vectors: Vectors
) -> GoldenUser:
    vector = embedder.embed("user", [user], [present])[0]
    scores = vectors @ vector
    top = np.argsort(-scores, kind="stable")[:TOP]
    return GoldenUser(
        record=_as_json(user),
        present=present,
        vector=vector.tolist(),
        items=[ids[row] for row in top],
        scores=scores[top].tolist(),
    )


def _as_json(record: Record) -> dict[str, Any]:
    return {n: v.tolist() if isinstance(v, array) else v for n, v in record.items()}


def invented(schema: Schema, side: SideName, count: int) -> list[dict[str, Raw]]:
    """Make records up: of each feature some value or none, the last record empty."""
    rng = np.random.default_rng(1)
    words = schema.words(side)
    records: list[dict[str, Raw]] = [
        {
            name: feature.invent(words.get(name, ()), rng)
            for name, feature in schema.side(side).given.items()
            if rng.random() < 0.85
        }
        for _ in range(count - 1)
    ]
    return [*records, {}]


Answers = Callable[[Golden], Iterator[tuple[str, Vectors, Vectors]]]
"""Gives what was asked, what came now, and what was recorded."""


def check_golden(bundle: Bundle, embedder: "Embedder") -> None:
    """Ask the golden queries again.

    Raises:
        BundleError: A vector or a score differs from the recorded one by more than 1e-4.

    """
    check_answers(bundle, lambda golden: _answers(bundle, embedder, golden))


def check_answers(bundle: Bundle, answers: Answers) -> None:
    """Hold what comes now against what was recorded.

    Raises:
        BundleError: A number differs from the recorded one by more than 1e-4, or there is none.

    """
    path = bundle.layout.golden
    try:
        golden = Golden.model_validate_json(path.read_bytes())
        for query, got, expected in answers(golden):
            if got.shape != expected.shape:
                raise BundleError(f"{path}: {query}: got {got.shape}, recorded {expected.shape}")
            off = float(np.abs(got - expected).max(initial=0))
            if not off <= TOLERANCE:
                raise BundleError(f"{path}: {query} is off by {off:.2g} from what was recorded")
    except ValidationError as error:
        raise BundleError(f"{path}: {explain(error)}") from error
    except KeyError as error:
        raise BundleError(f"{path}: names an item that the catalogue lacks: {error}") from error
    except (IndexError, ValueError) as error:
        raise BundleError(f"{path}: its answers are not those of its queries: {error}") from error
    except BundleError:
        raise
    except Exception as error:  # onnxruntime raises a dozen unrelated classes where a model fails
        raise BundleError(f"{path}: {error}") from error


def rows_of(bundle: Bundle, golden: Golden) -> dict[str, int]:
    """Return the rows of the items that golden queries name, and the catalogue has."""
    named = {one.id for one in golden.items}.union(*(user.items for user in golden.users))
    return {one: row for row, one in enumerate(bundle.ids) if one in named}


def _answers(
    bundle: Bundle, embedder: "Embedder", golden: Golden
) -> Iterator[tuple[str, Vectors, Vectors]]:
    rows = rows_of(bundle, golden)
    for number, user in enumerate(golden.users, start=1):
        record = bundle.schema.user.parse(user.record)
        vector = embedder.embed("user", [record], [user.present])[0]
        yield f"user query {number}", vector, np.array(user.vector, np.float32)
        found = bundle.vectors[[rows[one] for one in user.items]] @ vector
        yield f"user query {number}: scores", found, np.array(user.scores, np.float32)
    for number, item in enumerate(golden.items, start=1):
        record = bundle.schema.item.parse(item.record)
        vector = embedder.embed("item", [record], [item.present])[0]
        yield f"item query {number}", vector, np.array(item.vector, np.float32)
        if item.present == bundle.schema.item.has_preference(record):  # as the catalogue is
            yield f"item query {number}: vectors.npy", bundle.vectors[rows[item.id]], vector
