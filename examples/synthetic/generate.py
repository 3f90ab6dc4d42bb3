"""Generates a small world whose right answer is known, cold items and cold users included.

python examples/synthetic/generate.py --out DATA [--users 400 --items 300 --seed 1]

Items are about topics and users like topics; how much, is the inner product of their `truth`
vectors (the affinity). Behaviour follows affinity by chance; content tells of topics with noise:
an item's tags and maker of its topics, its length of its quality, a user's region and age of
the taste. Cold items and cold users come after train ended, so only content speaks for them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

TOPICS = ("art", "cars", "cats", "chess", "dance", "food", "games", "garden", "music", "travel")
NOISE_TAGS = ("daily", "hd", "new", "short")
TABS = {"feed": 0.0, "friends": 1.0, "search": -1.0}  # name -> shift of the label's log-odds
MAKERS = 40
COLD_SHARE = 0.15
# Affinity runs from about -4 (no common topic) to 4 (the same topics), before quality.
SHARPNESS, OFFSET, QUALITY = 8.0, -4.0, 0.8
TRUE_TAG, TRUE_MAKER, TRUE_REGION = 0.9, 0.9, 0.7  # chance that content tells the truth
UNKNOWN = 0.05  # share of missing values
START_S = 1_700_000_000
DAY_S = 86_400
TRAIN_DAYS, TEST_DAYS = 21, 7
TEST_WARM, TEST_COLD = 5, 5  # exposures to warm and to cold items a user has in the test window

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is true: vectors whose inner product is the affinity, and who is cold."""

    user: Floats  # [users, topics + 1]: taste, and 1
    item: Floats  # [items, topics + 1]: topics times SHARPNESS, and quality + OFFSET
    quality: Floats  # [items]
    cold_user: NDArray[np.bool_]  # [users]
    cold_item: NDArray[np.bool_]  # [items]


def generate(
    folder: Path, *, users: int = 400, items: int = 300, exposures: int = 24, seed: int = 1
) -> None:
    """Write interactions, users, items, cold and truth into `folder`; a seed is one world.

    A warm user has `exposures` rows in train and ten in test, half of them to cold items, a cold
    user only the latter; no user is shown an item twice. `truth` (kind, id, vector) is for
    checking and not to be trained on: user vector times item vector is the affinity.
    """
    rng = np.random.default_rng(seed)
    world = draw_world(rng, users, items)
    tables = {
        "users": users_table(rng, world),
        "items": items_table(rng, world),
        "interactions": interactions_table(rng, world, exposures),
    }
    user_ids, item_ids = tables["users"]["user_id"], tables["items"]["item_id"]
    ids = {"user": user_ids.to_pylist(), "item": item_ids.to_pylist()}
    cold = {"user": world.cold_user, "item": world.cold_item}
    pairs = [(kind, ids[kind][at]) for kind in cold for at in np.flatnonzero(cold[kind])]
    tables["cold"] = pa.table({"kind": [k for k, _ in pairs], "id": [name for _, name in pairs]})
    tables["truth"] = pa.table(
        {
            "kind": ["user"] * users + ["item"] * items,
            "id": ids["user"] + ids["item"],
            "vector": pa.array(
                [*world.user.tolist(), *world.item.tolist()], type=pa.list_(pa.float32())
            ),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, folder / f"{name}.parquet", compression="zstd")


def draw_world(rng: np.random.Generator, users: int, items: int) -> World:
    """Draw tastes (two liked topics), topics (one or two an item), quality, and who is cold."""
    taste = _two_topics(rng, users, second=np.full(users, 0.8))
    topics = _two_topics(rng, items, second=np.where(rng.random(items) < 0.4, 0.6, 0.0))
    quality = rng.normal(size=items)
    return World(
        user=np.column_stack([taste, np.ones(users)]),
        item=np.column_stack([SHARPNESS * topics, QUALITY * quality + OFFSET]),
        quality=quality,
        cold_user=_some(rng, users),
        cold_item=_some(rng, items),
    )


def users_table(rng: np.random.Generator, world: World) -> pa.Table:
    """user_id, region (mostly the one of the best liked topic), age (weakly of that topic)."""
    best = world.user[:, :-1].argmax(axis=1)
    region = np.where(rng.random(len(best)) < TRUE_REGION, best, _topics(rng, len(best)))
    age = np.clip(20 + 4 * best + rng.normal(scale=8, size=len(best)), 12, 90).round()
    return pa.table(
        {
            "user_id": [f"u{number:04}" for number in range(len(best))],
            "region": [f"r{number}" for number in region],
            "age": pa.array(age, type=pa.float32(), mask=rng.random(len(best)) < UNKNOWN),
        }
    )


def items_table(rng: np.random.Generator, world: World) -> pa.Table:
    """item_id, tags (topics, some false, and noise), maker (of a topic), length_s (of quality)."""
    topics, count = world.item[:, :-1], len(world.item)
    tags = []
    for row in topics:
        told = [t if rng.random() < TRUE_TAG else _topics(rng, 1)[0] for t in np.flatnonzero(row)]
        noise = NOISE_TAGS[rng.integers(len(NOISE_TAGS))]
        tags.append(sorted({TOPICS[t] for t in told}) + [noise])
    home = np.where(rng.random(count) < TRUE_MAKER, topics.argmax(axis=1), _topics(rng, count))
    maker = home + len(TOPICS) * rng.integers(MAKERS // len(TOPICS), size=count)
    log_length = 3.5 + 0.5 * (0.8 * world.quality + 0.6 * rng.normal(size=count))
    return pa.table(
        {
            "item_id": [f"i{number:04}" for number in range(count)],
            "tags": pa.array(tags, type=pa.list_(pa.string())),
            "maker": pa.array([f"m{n}" for n in maker], mask=rng.random(count) < UNKNOWN),
            "length_s": pa.array(
                np.exp(log_length).round(1), type=pa.float32(), mask=rng.random(count) < UNKNOWN
            ),
        }
    )


def interactions_table(rng: np.random.Generator, world: World, exposures: int) -> pa.Table:
    """One row an exposure, sorted by user and time: half shown at random, half by affinity.

    The label is drawn from the affinity and the tab's shift; train rows come before test rows.
    """
    affinity = world.user @ world.item.T
    weight = np.exp(0.4 * affinity)
    chance = 1 / weight.shape[1] + weight / weight.sum(axis=1, keepdims=True)
    # Gumbel-max: the largest keys are a draw without replacement by chance.
    keys = np.log(chance) + rng.gumbel(size=chance.shape)
    warm = np.argsort(np.where(world.cold_item, -np.inf, keys), axis=1)[:, ::-1]
    cold = np.argsort(np.where(world.cold_item, keys, -np.inf), axis=1)[:, ::-1]
    parts: dict[str, list[NDArray[Any]]] = {"user": [], "item": [], "time": [], "test": []}
    for user in range(len(affinity)):
        shown = 0 if world.cold_user[user] else exposures
        test = np.concatenate([warm[user, shown : shown + TEST_WARM], cold[user, :TEST_COLD]])
        item = np.concatenate([warm[user, :shown], rng.permutation(test)])
        is_test = np.arange(len(item)) >= shown
        days = np.where(is_test, TRAIN_DAYS, 0) + rng.random(len(item)) * np.where(
            is_test, TEST_DAYS, TRAIN_DAYS
        )
        parts["user"].append(np.full(len(item), user))
        parts["item"].append(item)
        parts["time"].append(START_S + (days * DAY_S).round())
        parts["test"].append(is_test)
    rows = {name: np.concatenate(values) for name, values in parts.items()}
    by_time = np.lexsort((rows["item"], rows["time"], rows["user"]))
    return _labelled(rng, affinity, {name: values[by_time] for name, values in rows.items()})


def _labelled(
    rng: np.random.Generator, affinity: Floats, rows: dict[str, NDArray[Any]]
) -> pa.Table:
    user, item = rows["user"], rows["item"]
    tab = rng.integers(len(TABS), size=len(user))
    odds = affinity[user, item] + np.array(list(TABS.values()))[tab]
    label = rng.random(len(user)) < 1 / (1 + np.exp(-odds))
    first = np.searchsorted(user, user)
    # Rows of one moment share a number, so that none of them is before another.
    same_time = np.append(False, (np.diff(user) == 0) & (np.diff(rows["time"]) == 0))
    moment = np.cumsum(~same_time)
    return pa.table(
        {
            "user_id": [f"u{number:04}" for number in user],
            "item_id": [f"i{number:04}" for number in item],
            "timestamp": pa.array(rows["time"], type=pa.float64()),
            "order": pa.array(moment - moment[first], type=pa.int32()),
            "label": pa.array(label.astype(np.int8)),
            "split": np.where(rows["test"], "test", "train").tolist(),
            "tab": np.array(list(TABS))[tab].tolist(),
        }
    )


def _two_topics(rng: np.random.Generator, count: int, second: Floats) -> Floats:
    """Draw unit vectors [count, topics]: a first topic of weight 1, another of weight `second`."""
    order = rng.permuted(np.tile(np.arange(len(TOPICS)), (count, 1)), axis=1)
    vectors = np.zeros((count, len(TOPICS)))
    vectors[np.arange(count), order[:, 0]] = 1
    vectors[np.arange(count), order[:, 1]] = second
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _topics(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.integers(len(TOPICS), size=count)


def _some(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    chosen = np.zeros(count, dtype=bool)
    chosen[rng.permutation(count)[: round(COLD_SHARE * count)]] = True
    return chosen


def main(
    out: Annotated[Path, typer.Option(help="folder to write the data into")],
    users: int = 400,
    items: int = 300,
    seed: int = 1,
) -> None:
    """Generate a world."""
    generate(out, users=users, items=items, seed=seed)
    typer.echo(f"wrote interactions, users, items, cold and truth into {out}")


if __name__ == "__main__":
    typer.run(main)
