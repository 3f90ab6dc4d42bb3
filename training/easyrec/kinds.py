"""What each type of feature becomes: its options field by field, or why it is refused."""

from collections.abc import Callable, Mapping
from typing import Any

from training.commented import Choice
from training.easyrec.features import Column, Feature
from training.easyrec.section import Section

Options = dict[str, Any]
VOCABULARIES = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_file")
LEARNED = "the ids of the train rows: by a hash a new one would have another's row"
LOG1P = ("tf.math.log1p", "tf.log1p", "math.log1p")
READ_BY_SOME = (
    "separator",
    "kv_separator",
    "embedding_name",
    "hash_bucket_size",
    "num_buckets",
    "vocab_list",
    "vocab_file",
    "ev_params",
    "boundaries",
    "min_val",
    "max_val",
    "normalizer_fn",
    "raw_input_dim",
    "combiner",
    "max_seq_len",
    "sub_feature_type",
    "sequence_combiner",
    "combo_join_sep",
    "expression",
)


def choice_of(feature: Feature, categories: Mapping[str, str | None]) -> Choice | None:
    """Return what a feature becomes; None where it is refused.

    Args:
        feature: The feature.
        categories: The category of each of its columns on its side, where there is one.

    """
    options = KINDS[feature.type](feature, categories)
    if options is None:
        return None
    for name in READ_BY_SOME:
        feature.section.note(name, f"{feature.type} does not read it")
    return Choice(f"{feature.type} of line {feature.line}", options)


def identity_of(feature: Feature) -> Choice:
    """Return what an entity's own id becomes: a preference, known from its first row on."""
    options = {"kind": "category", "aggregate": "identity", **_words(feature), **_dim(feature)}
    for name in READ_BY_SOME:
        feature.section.note(name, f"{feature.type} does not read it")
    return Choice(
        f"the id itself, IdFeature {feature.name!r} of line {feature.line}: in content it would "
        "be an untrained vector for whoever is new",
        options,
    )


def column_of(feature: Feature, name: str, choice: Choice) -> Column:
    """Return how the column of a feature is made of those of the samples."""
    section = feature.section
    separator = choice.options.get("separator") or section.text("separator", "the cells", "|")
    pairs = None
    if section.has("kv_separator"):
        pairs = section.text("kv_separator", "weights: true")
    return Column(name, feature.inputs, separator, pairs, choice.kind == "vector")


def _dim(feature: Feature) -> Options:
    width = feature.section.whole("embedding_dim", "dim")
    return {"dim": width} if width else {}


def _words(feature: Feature) -> Options:
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


def _category(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    del categories
    _one_column(feature)
    return {"kind": "category", **_words(feature), **_dim(feature)}


def _one_column(feature: Feature) -> None:
    if len(feature.inputs) > 1:
        feature.section.refuse("input_names", f"{feature.type} reads one column; leave one")


def _number(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    """Return a number: cut at edges, min-max scaled, its logarithm, or as it is."""
    del categories
    section = feature.section
    _one_column(feature)
    if (size := section.whole("raw_input_dim", "size", 1)) > 1:
        return _vector(section, size)
    low = section.number("min_val", "mean, the number that becomes 0")
    high = section.number("max_val", "scale, the distance from min_val")
    edges = section.numbers("boundaries", "buckets, the inner edges")
    parts = section.whole("num_buckets", "buckets, edges of equal distance")
    log = section.has("normalizer_fn") and bool(
        section.one_of(
            "normalizer_fn",
            "log1p",
            "",
            LOG1P,
            f"expected {LOG1P[0]}: write a column that holds the result of another function",
        )
    )
    is_scaled = high > low
    if not edges and parts > 1 and is_scaled:
        edges = [part / parts for part in range(parts)]
    if log and (edges or is_scaled):
        section.refuse(
            "normalizer_fn", "edges and min_val stand alone here: write a column that holds it"
        )
    if edges:
        inner = {low + edge * (high - low) if is_scaled else edge for edge in edges}
        return {"kind": "number", "buckets": sorted(map(float, inner)), **_dim(feature)}
    scaled: Options = {"standardise": False}
    if is_scaled:
        scaled = {"mean": float(low), "scale": float(high - low)}
    return {
        "kind": "number",
        **({"log1p": True} if log else {}),
        **scaled,
        **(_dim(feature) or {"dim": 1}),
    }


def _vector(section: Section, size: int) -> Options:
    for name in ("boundaries", "min_val", "max_val", "normalizer_fn", "num_buckets"):
        section.refuse(name, f"the {size} numbers go in as they are: write them so, and remove it")
    section.text("separator", "numbers are parted by commas or spaces here; --samples sees to it")
    width = section.whole("embedding_dim", "dim", size)
    return {"kind": "vector", "size": size, "dim": width}


def _pooled(section: Section) -> None:
    section.known("combiner", "mean", "the mean", "words are pooled by their (weighted) mean")


def _tags(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    del categories
    section = feature.section
    _pooled(section)
    if len(feature.inputs) > 2:
        section.refuse("input_names", "TagFeature reads words, and weights of the words; leave two")
    section.text("kv_separator", "weights: true; ':' stands there here, --samples sees to it")
    weighted = section.has("kv_separator") or len(feature.inputs) == 2
    return {
        "kind": "tags",
        "separator": section.text("separator", "separator", "|"),
        **({"weights": True} if weighted else {}),
        **_words(feature),
        **_dim(feature),
    }


def _sequence(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    del categories
    section = feature.section
    _one_column(feature)
    section.one_of(
        "sub_feature_type",
        "words",
        "IdFeature",
        ("IdFeature",),
        "a sequence of numbers is not read: give words, such as the names of their buckets",
    )
    pooling: Options = {}
    if (combiner := section.section("sequence_combiner", "SequenceCombiner")) is not None:
        pooling = _combined(combiner)
    _pooled(section)
    longest = section.whole("max_seq_len", "max_length; the newest, which stand last")
    return {
        "kind": "sequence",
        "separator": section.text("separator", "separator", "|"),
        **({"max_length": longest} if longest else {}),
        **pooling,
        **_words(feature),
        **_dim(feature),
    }


def _combined(combiner: Section) -> Options:
    """Return attention with a learned query; the other two are refused."""
    for name in ("multi_head_attention", "text_cnn"):
        combiner.refuse(
            name,
            "a sequence is pooled by its mean, or by attention {}: say that, or remove it; a title "
            "is better given whole, as a feature of kind text",
        )
    if not combiner.has("attention"):
        return {}
    combiner.map("attention", "pooling: attention")
    return {"pooling": "attention"}


def _cross(feature: Feature, categories: Mapping[str, str | None]) -> Options | None:
    """Return the cross of two categories of the same side."""
    section = feature.section
    if len(feature.inputs) != 2:
        section.refuse_all(
            f"a cross is made of two columns, and this of {len(feature.inputs)}: write the joined "
            "words into a column and give that as an IdFeature"
        )
        return None
    of = [categories[column] for column in feature.inputs]
    lacking = [c for c, found in zip(feature.inputs, of, strict=True) if found is None]
    if lacking:
        section.refuse_all(
            f"a cross is made of categories of its own side, and {lacking[0]!r} is none: give it "
            "as an IdFeature, or write the joined words into a column"
        )
        return None
    section.text("combo_join_sep", "a cross, whose words are never joined by a sign")
    buckets = section.whole("hash_bucket_size", "vocabulary: hashed, buckets")
    hashed = {"vocabulary": "hashed", "buckets": buckets} if buckets else {}
    return {"kind": "cross", "of": of, **hashed, **_dim(feature)}


def _lookup(feature: Feature, categories: Mapping[str, str | None]) -> None:
    del categories
    feature.section.refuse_all(
        f"LookupFeature {feature.name!r} looks one column up in another: write what is found into "
        "a column and give it as a TagFeature; if user and item both take part, no two-tower "
        "model can hold it"
    )


def _expression(feature: Feature, categories: Mapping[str, str | None]) -> None:
    del categories
    told = feature.section.text("expression", "")
    feature.section.refuse_all(
        f"ExprFeature {feature.name!r} computes {told!r}: write the result into a column and give "
        "it as a RawFeature; if user and item both take part, no two-tower model can hold it"
    )


def _passed(feature: Feature, categories: Mapping[str, str | None]) -> None:
    del categories
    feature.section.refuse_all(
        f"{feature.type} {feature.name!r} has no meaning here: give it as a RawFeature"
    )


Kind = Callable[[Feature, Mapping[str, str | None]], Options | None]
KINDS: dict[str, Kind] = {
    "IdFeature": _category,
    "RawFeature": _number,
    "TagFeature": _tags,
    "SequenceFeature": _sequence,
    "ComboFeature": _cross,
    "LookupFeature": _lookup,
    "ExprFeature": _expression,
    "PassThroughFeature": _passed,
}
