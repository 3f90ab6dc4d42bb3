"""The content-neighbour ceiling: how much the content of items tells at all about new ones."""

from collections.abc import Iterator

import numpy as np

from training.baselines import content_neighbours, random_scores
from training.doctor.base import Finding, Patient
from training.ground import Ground, content_columns
from training.metrics import UserItems
from training.parts import TEST, TRAIN, VALIDATION
from training.slices import Slices

K, LEAST = 100, 50
LIFT = 1.2
REMEDY = "give items content that users choose by: topics, maker, series, words of the title"


def look(patient: Patient) -> Iterator[Finding]:
    """Tell recall of cold items by content neighbours beside that of a random order.

    Of test clicks on cold items by users who are not, among the cold items, at 100 or at a
    quarter of them if they are fewer than 400. Content that does less than 1.2 times chance, on
    50 clicks or more, is a warning; else the figures are a note.
    """
    columns = content_columns(patient.data, patient.schema.item.content)
    ground = Ground(patient.config, patient.data, patient.split, columns)
    slices = Slices.of(patient.data, patient.split, TEST)
    cold = slices.named("cold_item")
    clicks = len(cold.relevant.items)
    if ground.words is None or not clicks:
        why = "no test click on a cold item" if columns else "no content in words"
        yield Finding("note", "item.content", f"no ceiling to tell: {why}", REMEDY)
        return
    rows, size = patient.data.interactions, len(patient.data.items)
    liked = np.isin(patient.split.part, (TRAIN, VALIDATION)) & (rows.label > 0)
    history = UserItems.from_pairs(rows.user[liked], rows.item[liked], len(patient.data.users))
    chance = random_scores(size)
    k = min(K, max(1, len(cold.candidates) // 4))
    recall = {
        name: Slices((cold,), slices.masked).measure(scores, (k,))["cold_item"].recall[k]
        for name, scores in {
            "content": content_neighbours(ground.words, history, chance),
            "random": chance,
        }.items()
    }
    told = f"cold recall@{k} of content neighbours {recall['content']:.3f}, random "
    is_poor = clicks >= LEAST and recall["content"] < LIFT * recall["random"]
    yield Finding(
        "warning" if is_poor else "note",
        "item.content",
        f"{told}{recall['random']:.3f}",
        REMEDY if is_poor else "a model of these features should be near or above it",
        {"k": k, "clicks": clicks, "candidates": len(cold.candidates)}
        | {name: round(value, 4) for name, value in recall.items()},
    )
