"""Given word vectors, from which the rows of a text's table begin."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.contract.errors import ConfigError
from export.contract.schema import Schema
from export.contract.sharing import table_of
from export.contract.side import SIDES
from training.config import TrainConfig
from training.growing.parent import Parent
from training.model import TwoTower


def start_from_vectors(
    model: TwoTower, config: TrainConfig, schema: Schema, parent: Parent | None = None
) -> list[str]:
    """Put given vectors in place of the rows of the words that have one; say how many.

    The vectors of a file are scaled by one factor, to the length on average that rows of their
    table begin with, so that how they lie to each other stays and a text is no louder than
    another feature. Words that a parent knew keep their rows, whose length the factor goes by.

    Raises:
        ConfigError: A file cannot be read, its vectors have another length than the table's
            rows, or it holds no word of the table.

    """
    notes = []
    for side in SIDES:
        for name, feature in schema.side(side).features.items():
            file = getattr(feature, "vectors", None)
            if file is None:
                continue
            table = table_of(side, name, feature)
            words, rows = schema.tables[table], model.table(table)
            path, first = config.data.folder / file, schema.rows(table) - len(schema.tables[table])
            places = {word: first + place for place, word in enumerate(words)}
            found, vectors = read_vectors(path, places, rows.shape[1], f"{side}.{name}")
            kept = 0 if parent is None else len(parent.words(table))
            is_new = found >= first + kept
            with torch.no_grad():
                known = rows[first : first + (kept or len(words))]
                usual = known.norm(dim=1).mean()
                given = torch.from_numpy(vectors)
                length = given.norm(dim=1).mean().clamp_min(1e-12)
                rows[torch.from_numpy(found[is_new])] = given[is_new] * (usual / length)
            begin, new = int(is_new.sum()), len(words) - kept
            notes.append(
                f"{side}.{name}: {begin} of {new} {'new ' * bool(kept)}words begin from {path.name}"
            )
    return notes


def read_vectors(
    path: Path, places: dict[str, int], width: int, feature: str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Read lines of a word and its numbers, spaces between; a first line of two counts is skipped.

    Returns:
        The places of the words found, int64[n], and their vectors, float32[n, width].

    """
    found: dict[int, NDArray[np.float32]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, *numbers = line.rstrip().split(" ")
                if number == 1 and len(numbers) == 1 and width > 1:
                    continue
                if len(numbers) != width:
                    raise ConfigError(
                        f"{path}, line {number}: got {len(numbers)} numbers after the word, "
                        f"expected {width}, the dim of {feature}"
                    )
                place = places.get(word)
                if place is not None and place not in found:
                    found[place] = _numbers(numbers, path, number)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{feature}: vectors: {path}: {said}") from error
    if not found:
        raise ConfigError(f"{path}: holds no word of {feature}; words are compared in lower case")
    return np.fromiter(found, np.int64), np.stack(list(found.values()))


def _numbers(numbers: list[str], path: Path, line: int) -> NDArray[np.float32]:
    try:
        vector = np.array(numbers, dtype=np.float32)
    except ValueError:
        vector = np.array([np.nan], dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ConfigError(f"{path}, line {line}: expected finite numbers after the word")
    return vector
