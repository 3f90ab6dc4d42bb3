"""The sources of the protocols in small, as they lie in the data folder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix, save_npz

from tests.examples.test_kuairand import write_source

USERS, ITEMS, TOPICS = 120, 400, 4
COLD, COLD_USERS = 320, 96  # from these on they are cold
Pairs = list[tuple[int, int]]
RARE = "rare"


def write_sources(data: Path) -> Path:
    """Write every source; item i has topic i mod 4, which users u of equal u mod 4 like."""
    data.mkdir(exist_ok=True)
    write_citeulike(data / "citeulike_a")
    write_movielens(data / "movielens_1m")
    source = write_source(data / "kuairand_pure")
    (source / "history.parquet").rename(source / "history_until_20220424.parquet")
    return data


def liked() -> Pairs:
    """Return what users like: mostly items of their topic; each item is liked by some."""
    rng = np.random.default_rng(5)
    found = {((item + more) % USERS, item) for item in range(ITEMS) for more in (0, 4, 8)}
    for user in range(USERS):
        own = np.arange(user % TOPICS, ITEMS, TOPICS)
        found |= {(user, int(item)) for item in rng.choice(own, 12, replace=False)}
        found |= {(user, int(item)) for item in rng.choice(ITEMS, 6, replace=False)}
    return sorted(found)


def write_citeulike(folder: Path) -> None:
    """Write the two folds, the parts of ALDI, titles, tags and citations."""
    folder.mkdir()
    every = sorted(liked(), key=lambda pair: pair[1])
    turn = np.array([at - [i for _, i in every].index(item) for at, (_, item) in enumerate(every)])
    warm, cold = [p for p in every if p[1] < COLD], [p for p in every if p[1] >= COLD]

    def dealt(pairs: Pairs, *turns: int) -> Pairs:
        return [pair for pair, one in zip(pairs, turn % 5, strict=False) if one in turns]

    parts = {
        "dropoutnet_cold_train": warm,
        "dropoutnet_cold_test": cold,
        "dropoutnet_warm_train": dealt(every, 0, 1, 3, 4),
        "dropoutnet_warm_test": dealt(every, 2),
        "aldi_warm_emb": dealt(warm, 0, 3, 4),
        "aldi_warm_val": dealt(warm, 1),
        "aldi_warm_test": dealt(warm, 2),
        "aldi_cold_item_val": [p for p in cold if p[1] % 2],
        "aldi_cold_item_test": [p for p in cold if not p[1] % 2],
    }
    for name, found in parts.items():
        _write(folder, name, user_id=[u for u, _ in found], item_id=[i for _, i in found])
    for fold, first in (("cold", COLD), ("warm", 0)):
        _write(folder, f"dropoutnet_{fold}_test_item_ids", item_id=list(range(first, ITEMS)))
    titles = [f"Study {item} of topic{item % TOPICS} things" for item in range(ITEMS)]
    _write(folder, "item_titles", item_id=list(range(ITEMS)), title=titles)
    _write(folder, "tag_names", tag_id=list(range(TOPICS + 1)), tag=[*_topics(), RARE])
    tags = np.zeros((ITEMS, TOPICS + 1), np.uint8)
    tags[np.arange(ITEMS), np.arange(ITEMS) % TOPICS] = 1
    tags[:4, TOPICS] = 1
    save_npz(folder / "item_tags.npz", csr_matrix(tags))
    near = [(item, (item + TOPICS) % ITEMS) for item in range(ITEMS)]
    both = near + [(other, item) for item, other in near]
    _write(
        folder,
        "item_citations",
        item_id=[one for one, _ in both],
        cited_or_citing_item_id=[other for _, other in both],
    )


def write_movielens(folder: Path) -> None:
    """Write ratings: about one in seven of the pairs."""
    folder.mkdir()
    rng = np.random.default_rng(6)
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < 0.15)
    cold_user, cold_item = user >= COLD_USERS, item >= COLD
    warm = np.where(rng.random(len(user)) < 0.2, "warm_test", "train")
    one = np.where(cold_user, "cold_user", warm)
    split = np.where(cold_item, np.where(cold_user, "cold_both", "cold_item"), one)
    like = ((user + item) % TOPICS < 2).astype(np.int8)
    _write(folder, "interactions", user_id=user, item_id=item, like=like, split=split)
    _write(
        folder,
        "users",
        user_id=list(range(USERS)),
        gender=["F", "M"] * (USERS // 2),
        age=[1, 25] * (USERS // 2),
        occupation=[one % 7 for one in range(USERS)],
        zip=["48067", "55117-12"] * (USERS // 2),
    )
    _write(
        folder,
        "movies",
        item_id=list(range(ITEMS)),
        title=[f"Film {one} (1995)" for one in range(ITEMS)],
        genres=["Drama|War", "Comedy"] * (ITEMS // 2),
        year=pa.array([1995, None] * (ITEMS // 2), pa.int16()),
        certificate=["G", None] * (ITEMS // 2),
        director=["One Name", None] * (ITEMS // 2),
        actors=["Ann A, Ben B", None] * (ITEMS // 2),
        plot=["A plot of some words", None] * (ITEMS // 2),
    )


def _topics() -> list[str]:
    return [f"topic{one}" for one in range(TOPICS)]


def _write(folder: Path, name: str, **columns: object) -> None:
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")
