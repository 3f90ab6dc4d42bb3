"""The golden queries of a ranker: users with histories, and the chances of the golden items."""

from collections.abc import Iterator

import numpy as np

from export.contract.bundle import Bundle
from export.contract.errors import BundleError
from export.contract.ranker import Codes, Ranker
from export.contract.schema import Schema
from export.golden import Golden, GoldenRank, Vectors, check_answers, rows_of


def with_ranks(golden: Golden, schema: Schema, ranker: Ranker) -> Golden:
    """Return golden queries with what a ranker says of them.

    Every user stands once with a history of golden items, and once with none.
    """
    codes = _codes(golden, schema, ranker)
    ranks = []
    for user in range(len(golden.users)):
        for length in (0, 1 + user % len(codes)) if len(codes) else ():
            one = GoldenRank(user=user, history=list(range(length)), chances=[])
            chances = _chances(golden, one, schema, ranker, codes).tolist()
            ranks.append(one.model_copy(update={"chances": chances}))
    return golden.model_copy(update={"codes": codes.tolist(), "ranks": ranks})


def check_ranks(bundle: Bundle, ranker: Ranker) -> None:
    """Ask the golden queries of the ranker again.

    Raises:
        BundleError: A code or a chance differs from the recorded one by more than 1e-4.

    """
    check_answers(bundle, lambda golden: _answers(bundle, ranker, golden))


def _answers(
    bundle: Bundle, ranker: Ranker, golden: Golden
) -> Iterator[tuple[str, Vectors, Vectors]]:
    if not golden.ranks and golden.items:
        raise BundleError(f"{bundle.layout.golden}: ranks: expected queries, there is a ranker")
    assert bundle.ranker is not None
    rows = rows_of(bundle, golden)
    codes = _codes(golden, bundle.schema, ranker)
    recorded = np.array(golden.codes, np.float32).reshape(-1, ranker.facts.width)
    for number, item in enumerate(golden.items, start=1):
        yield f"item query {number}: code", codes[number - 1], recorded[number - 1]
        if item.present == bundle.schema.item.has_preference(
            bundle.schema.item.parse(item.record)
        ):  # as the catalogue is
            kept = bundle.ranker.codes[rows[item.id]]
            yield f"item query {number}: ranker_items.npy", kept, codes[number - 1]
    for number, one in enumerate(golden.ranks, start=1):
        found = _chances(golden, one, bundle.schema, ranker, codes)
        yield f"rank query {number}", found, np.array(one.chances, np.float32)


def _codes(golden: Golden, schema: Schema, ranker: Ranker) -> Codes:
    records = [schema.item.parse(one.record) for one in golden.items]
    return ranker.code(records, [one.present for one in golden.items])


def _chances(
    golden: Golden, one: GoldenRank, schema: Schema, ranker: Ranker, codes: Codes
) -> Vectors:
    user = golden.users[one.user]
    record = schema.user.parse(user.record)
    asked = np.zeros(len(codes), dtype=np.int64)
    return ranker.score([record], [user.present], [codes[one.history]], codes, asked)
