"""The features of a file: what each is called, of which columns it is made, and its type."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from export.contract.side import NAME, TAKEN_NAMES
from training.easyrec.computed import Computed
from training.easyrec.section import Section

OWN_ID = "own_id"
WORDED = ("IdFeature", "TagFeature", "SequenceFeature", "LookupFeature")
TYPES = (
    *WORDED,
    "RawFeature",
    "ComboFeature",
    "ExprFeature",
    "PassThroughFeature",
)
ALONE = ("RawFeature", "ComboFeature")  # EasyRec lets them share a table


@dataclass(frozen=True)
class Feature:
    """One feature as EasyRec has it.

    `table` is the vocabulary it shares with others, if any. `is_learned` makes that one of the
    train rows, whatever the file says: it holds ids of the users or items themselves.
    """

    name: str
    inputs: tuple[str, ...]
    type: str
    section: Section
    table: str | None = None
    is_learned: bool = False

    @property
    def line(self) -> int:
        """The line it begins at."""
        return self.section.own.line if self.section.own is not None else 0


@dataclass(frozen=True)
class Column:
    """A column of ours and those of the samples that it is made of.

    `pairs` parts words from weights in one column, to become ':'; with two columns the second
    holds the weights of the first, both parted by `separator`. A vector's numbers are parted by
    `separator`, to become spaces. `computed` works it out of all of them instead.
    """

    name: str
    inputs: tuple[str, ...]
    separator: str = ","
    pairs: str | None = None
    is_vector: bool = False
    computed: Computed | None = None

    def __str__(self) -> str:
        return " + ".join(self.inputs) if self.computed is None else str(self.computed)


def read_features(root: Section, columns: Collection[str]) -> dict[str, Feature]:
    """Return the features by the name that groups know them by; refuses what cannot be told.

    `columns` are those of the samples.
    """
    found: dict[str, Feature] = {}
    for section in _sections(root):
        type_ = section.one_of("feature_type", "kind", "IdFeature", TYPES)
        inputs = tuple(section.texts("input_names", "the column"))
        own = section.text("feature_name", "the feature's name", inputs[0] if inputs else "")
        shared = section.texts("shared_names", "features of the same options")
        embedding = section.text("embedding_name", "table") if type_ in WORDED else ""
        for name in {*inputs, *shared} - {*columns}:
            for field in ("input_names", "shared_names"):
                section.refuse(field, "no input_name of data_config.input_fields", name)
        if not inputs and not shared:
            section.lacks("input_names", "name the column that it reads")
        named = ([(own, inputs)] if inputs else []) + [(name, (name,)) for name in shared]
        for name, reads in named:
            if name in found:
                section.refuse_all(f"a second feature {name!r}; give it a feature_name of its own")
            found[name] = Feature(name, reads, type_, section, embedding or None)
    _refuse_shared(found.values())
    sharing = Counter(feature.table for feature in found.values())
    return {
        name: replace(f, table=clean(f.table) if f.table and sharing[f.table] > 1 else None)
        for name, f in found.items()
    }


def _refuse_shared(features: Iterable[Feature]) -> None:
    """Refuse a table that EasyRec would share, and that here can be a feature's own only."""
    asked = [
        (feature, str(one.value))
        for feature in features
        for one in feature.section.message.fields
        if one.name == "embedding_name" and one.value
    ]
    sharing = Counter(name for _, name in asked)
    for feature, name in asked:
        if feature.type in ALONE and sharing[name] > 1:
            remedy = f"the table of a {feature.type} is its own: remove it"
            feature.section.refuse("embedding_name", remedy)


def with_learned_ids(features: Mapping[str, Feature], ids: Collection[str]) -> dict[str, Feature]:
    """Let own ids, and what shares a table with them, have the vocabulary of the train rows.

    By a hash an id that training did not know would have the row of another.
    """
    own = {name for name, f in features.items() if f.type == "IdFeature" and {*f.inputs} <= {*ids}}
    tables = {features[name].table for name in own} - {None}
    return {
        name: replace(f, is_learned=name in own or f.table in tables)
        for name, f in features.items()
    }


def _sections(root: Section) -> list[Section]:
    direct = root.sections("feature_configs", "FeatureConfig")
    held = root.section("feature_config", "FeatureConfigV2")
    if held is None:
        return direct
    if direct:
        held.refuse_all("EasyRec reads feature_configs only where both stand: move them there")
    return direct or held.sections("features", "FeatureConfig")


def clean(name: str) -> str:
    """Return a name as a feature or a table may have it."""
    found = re.sub(r"[^\w-]", "_", name).lstrip("-")[:64]
    return found if NAME.fullmatch(found) else f"f_{found}"[:64]


def our_name(name: str) -> str:
    """Return the name that a feature has here: other signs are '_', a taken name gets an end."""
    found = clean(name)
    return f"{found[:56]}_feature" if found in TAKEN_NAMES else found


def category_of(
    column: str, features: Mapping[str, Feature], names: Mapping[str, str]
) -> str | None:
    """Return our name of the category that a column is given as, among those placed by name."""
    for name, ours in names.items():
        feature = features[name]
        if ours != OWN_ID and feature.type == "IdFeature" and feature.inputs == (column,):
            return ours
    return None
