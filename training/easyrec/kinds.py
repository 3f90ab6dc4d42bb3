"""What each type of feature becomes: its options field by field, or why it is refused."""

from collections.abc import Callable, Mapping
from typing import Any

from training.commented import Choice
from training.easyrec.computed import Computed, Joined, Looked, Worked
from training.easyrec.expression import read_expression
from training.easyrec.features import Column, Feature
from training.easyrec.section import Section
from training.easyrec.vocabulary import dim_of, pooling_of, words_of

Options = dict[str, Any]
LOG1P = ("tf.math.log1p", "tf.log1p", "math.log1p")
JOINT = "_"  # between joined words, where EasyRec crosses them without one
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
    "combo_input_seps",
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
    why = f"{feature.type} of line {feature.line}"
    computed = computed_of(feature, options)
    if computed is not None:
        why += f", worked out beforehand: {computed}; so it is in tables and requests"
    return Choice(why, options)


def identity_of(feature: Feature) -> Choice:
    """Return what an entity's own id becomes: a preference, known from its first row on."""
    options = {"kind": "category", "aggregate": "identity", **words_of(feature), **dim_of(feature)}
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
    if (computed := computed_of(feature, choice.options)) is not None:
        return Column(name, feature.inputs, computed=computed)
    pairs = None
    if section.has("kv_separator"):
        pairs = section.text("kv_separator", "weights: true")
    return Column(name, feature.inputs, separator, pairs, choice.kind == "vector")


def computed_of(feature: Feature, options: Options) -> Computed | None:
    """Return how a feature is worked out of its columns, where it is."""
    section, inputs = feature.section, feature.inputs
    if feature.type == "LookupFeature":
        kv = section.text("kv_separator", "what parts a key from its value")
        return Looked((inputs[0], inputs[1]), options["separator"], kv)
    if feature.type == "ExprFeature":
        return Worked(inputs, read_expression(section.text("expression", "the column"), inputs))
    if feature.type == "ComboFeature" and options["kind"] != "cross":
        joint = section.text("combo_join_sep", "the column") or JOINT
        return Joined(inputs, joint, _input_separators(feature))
    return None


def _category(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    del categories
    _one_column(feature)
    return {"kind": "category", **words_of(feature), **dim_of(feature)}


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
        return {"kind": "number", "buckets": sorted(map(float, inner)), **dim_of(feature)}
    scaled: Options = {"standardise": False}
    if is_scaled:
        scaled = {"mean": float(low), "scale": float(high - low)}
    return {
        "kind": "number",
        **({"log1p": True} if log else {}),
        **scaled,
        **(dim_of(feature) or {"dim": 1}),
    }


def _vector(section: Section, size: int) -> Options:
    for name in ("boundaries", "min_val", "max_val", "normalizer_fn", "num_buckets"):
        section.refuse(name, f"the {size} numbers go in as they are: write them so, and remove it")
    section.text("separator", "numbers are parted by commas or spaces here; --samples sees to it")
    width = section.whole("embedding_dim", "dim", size)
    return {"kind": "vector", "size": size, "dim": width}


def _tags(feature: Feature, categories: Mapping[str, str | None]) -> Options:
    del categories
    section = feature.section
    if len(feature.inputs) > 2:
        section.refuse("input_names", "TagFeature reads words, and weights of the words; leave two")
    section.text("kv_separator", "weights: true; ':' stands there here, --samples sees to it")
    weighted = section.has("kv_separator") or len(feature.inputs) == 2
    return {
        "kind": "tags",
        "separator": section.text("separator", "separator", "|"),
        **({"weights": True} if weighted else {}),
        **pooling_of(section),
        **words_of(feature),
        **dim_of(feature),
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
    combiner = section.section("sequence_combiner", "SequenceCombiner")
    pooling = {} if combiner is None else _combined(combiner)
    longest = section.whole("max_seq_len", "max_length; the newest, which stand last")
    return {
        "kind": "sequence",
        "separator": section.text("separator", "separator", "|"),
        **({"max_length": longest} if longest else {}),
        **(pooling or pooling_of(section)),
        **words_of(feature),
        **dim_of(feature),
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


def _combo(feature: Feature, categories: Mapping[str, str | None]) -> Options | None:
    """Return the cross of categories of the same side, else the joined words as one column."""
    section = feature.section
    if len(feature.inputs) < 2:
        section.refuse_all("a ComboFeature reads two columns or more: give this as an IdFeature")
        return None
    given = section.texts("combo_input_seps", "how --samples splits the cells it joins")
    if given and len(given) != len(feature.inputs):
        section.refuse_all(f"combo_input_seps: {len(feature.inputs)} are needed, one a column")
        return None
    of = [categories[column] for column in feature.inputs]
    separators = _input_separators(feature)
    section.text("combo_join_sep", "what the words are joined by, where they are joined")
    buckets = section.whole("hash_bucket_size", "vocabulary: hashed, buckets")
    hashed = {"vocabulary": "hashed", "buckets": buckets} if buckets else {}
    if any(separators):
        separator = next(filter(None, separators))
        kind: Options = {"kind": "tags", "separator": separator, **pooling_of(section)}
    elif None in of or len(set(of)) < len(of):
        kind = {"kind": "category"}
    else:
        kind = {"kind": "cross", "of": of}
    return {**kind, **hashed, **dim_of(feature)}


def _input_separators(feature: Feature) -> tuple[str, ...]:
    """Return what splits the cells of each column, "" where nothing does."""
    given = feature.section.texts("combo_input_seps", "how --samples splits the cells it joins")
    return tuple(given) or ("",) * len(feature.inputs)


def _lookup(feature: Feature, categories: Mapping[str, str | None]) -> Options | None:
    """Return what is found in a map under a key, as words."""
    del categories
    section = feature.section
    if len(feature.inputs) != 2:
        section.refuse_all("a LookupFeature reads two columns, a key and a map: name these")
        return None
    if not section.text("kv_separator", "what parts a key from its value"):
        section.refuse_all("no kv_separator: say what parts a key from its value, as ':' does")
        return None
    return {
        "kind": "tags",
        "separator": section.text("separator", "separator", "|"),
        **pooling_of(section),
        **words_of(feature),
        **dim_of(feature),
    }


def _expression(feature: Feature, categories: Mapping[str, str | None]) -> Options | None:
    """Return the number that an expression has, taken as it is."""
    del categories
    section = feature.section
    told = section.text("expression", "the column")
    try:
        read_expression(told, feature.inputs)
    except ValueError as error:
        section.refuse_all(
            f"ExprFeature {feature.name!r} computes {told!r}: expected {error}; or write the "
            "result into a column and give it as a RawFeature"
        )
        return None
    section.note("embedding_dim", "ExprFeature does not read it")
    return {"kind": "number", "standardise": False, "dim": 1}


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
    "ComboFeature": _combo,
    "LookupFeature": _lookup,
    "ExprFeature": _expression,
    "PassThroughFeature": _passed,
}
