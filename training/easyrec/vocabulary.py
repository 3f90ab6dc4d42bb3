"""What the features of words have in common: a vocabulary, a width, and how words are pooled."""

from typing import Any

from training.easyrec.features import Feature
from training.easyrec.section import Section

Options = dict[str, Any]
VOCABULARIES = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_file")
LEARNED = "the ids of the train rows: by a hash a new one would have another's row"


def dim_of(feature: Feature) -> Options:
    """Return the width of a feature's vector, where it has one of its own."""
    width = feature.section.whole("embedding_dim", "dim")
    return {"dim": width} if width else {}


def words_of(feature: Feature) -> Options:
    """Return the vocabulary, and the table where others share it."""
    section = feature.section
    table = {"table": feature.table} if feature.table else {}
    if feature.is_learned:
        for name in VOCABULARIES:
            section.note(name, LEARNED)
        return {**_learned(section), **table}
    buckets = section.whole("hash_bucket_size", "vocabulary: hashed, buckets")
    numbers = section.whole("num_buckets", "vocabulary: learned; every number seen is a word")
    words = section.texts("vocab_list", "vocabulary: given, words_from")
    file = section.text("vocab_file", "vocabulary: given, words_from a file of the data folder")
    ways: list[tuple[str, Options]] = [
        ("hash_bucket_size", {"vocabulary": "hashed", "buckets": buckets} if buckets else {}),
        ("vocab_list", {"vocabulary": "given", "words_from": words} if words else {}),
        ("vocab_file", {"vocabulary": "given", "words_from": file} if file else {}),
        ("num_buckets", {"min_count": 1} if numbers else {}),
    ]
    chosen = [(name, options) for name, options in ways if options]
    for name, _ in chosen[1:]:
        section.refuse(name, f"{chosen[0][0]} stands there too; keep one of them")
    return {**(chosen[0][1] if chosen else _learned(section)), **table}


def _learned(section: Section) -> Options:
    """Return how often a word has to be seen, where EasyRec filters its dynamic tables."""
    params = section.section("ev_params", "EVParams")
    return {} if params is None else {"min_count": max(1, params.whole("filter_freq", "min_count"))}


def pooling_of(section: Section) -> Options:
    """Map a mean and TensorFlow's sqrtn; say of another combiner that it is neither."""
    found = section.known(
        "combiner",
        {"mean": "the mean", "sqrtn": "pooling: sqrtn"},
        "words are pooled by their (weighted) mean",
    )
    return {"pooling": "sqrtn"} if found == "sqrtn" else {}
