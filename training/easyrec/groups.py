"""The feature groups of a model: which side and group of ours each feature goes to."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from export.contract.side import SIDES, SideName
from training.commented import Choice
from training.easyrec.features import OWN_ID, Column, Feature, category_of, our_name
from training.easyrec.kinds import choice_of, column_of, identity_of
from training.easyrec.section import Section

Group = Literal["content", "preference"]
Place = tuple[SideName, Group]

PAIR: dict[str, Place] = {"user": ("user", "content"), "item": ("item", "content")}
GROUPS: dict[str, dict[str, Place]] = {
    "DropoutNet": {
        "user_content": ("user", "content"),
        "user_preference": ("user", "preference"),
        "item_content": ("item", "content"),
        "item_preference": ("item", "preference"),
    },
    "DSSM": PAIR,
    "DSSM_SENet": PAIR,
    "DAT": PAIR
    | {"user_id_augment": ("user", "preference"), "item_id_augment": ("item", "preference")},
}

WIDE = "a wide part belongs to rankers: say DEEP"
BOTH = "a preference of both sides, which the interactions cannot tell apart: rename one"
MADE = ("ComboFeature", "LookupFeature", "ExprFeature")
NO_FEATURE = "no feature is called so: give it a feature config, or remove it"


@dataclass
class SideGroups:
    """The features of one side by group, and the columns that its table has to hold.

    `names` maps EasyRec's name of a feature to ours, `id` is the column of the side's id.
    """

    side: SideName
    id: str
    groups: dict[Group, dict[str, Choice]] = field(
        default_factory=lambda: {"content": {}, "preference": {}}
    )
    columns: dict[str, Column] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def is_described(self) -> bool:
        """Whether anything but behaviour tells new ones apart."""
        return bool(self.groups["content"])

    @property
    def plain(self) -> set[str]:
        """The columns of the samples that features are, and are not worked out of."""
        plain = (one for one in self.columns.values() if one.computed is None)
        return {column for one in plain for column in one.inputs}

    def given(self, group: Group) -> list[str]:
        """Return the features of a group that a column holds."""
        return [name for name in self.groups[group] if name in self.columns]


def place_features(
    model: Section, kind: str, features: Mapping[str, Feature], ids: Mapping[SideName, str]
) -> dict[SideName, SideGroups]:
    """Return both sides of a model; what cannot be placed is refused."""
    sides = {side: SideGroups(side, ids[side]) for side in SIDES}
    made: list[tuple[Section, Place, str]] = []  # of columns, of which the others say the side
    for section in model.sections("feature_groups", "FeatureGroupConfig"):
        name = section.one_of("group_name", "the group", "", (*GROUPS[kind],))
        section.one_of("wide_deep", "the towers", "DEEP", ("DEEP",), WIDE)
        names = section.texts("feature_names", "features of the group")
        if name not in GROUPS[kind]:
            continue
        for one in names:
            if one not in features:
                section.refuse("feature_names", NO_FEATURE, one)
            elif name == "user" and features[one].type == "SequenceFeature":
                _put(sides, section, ("user", "preference"), features, one)  # what was done lately
            elif features[one].type in MADE:
                made.append((section, GROUPS[kind][name], one))
            else:
                _put(sides, section, GROUPS[kind][name], features, one)
    for section, place, one in made:
        if not _is_mixed(sides, section, place[0], features[one]):
            _put(sides, section, place, features, one)
    _say_unused(features, sides)
    return sides


def _put(
    sides: Mapping[SideName, SideGroups],
    section: Section,
    place: Place,
    features: Mapping[str, Feature],
    name: str,
) -> None:
    feature, (side_name, group) = features[name], place
    side = sides[side_name]
    other = sides["item" if side_name == "user" else "user"]
    if feature.inputs == (other.id,):
        section.refuse("feature_names", f"the id of the {other.side}: remove it here", name)
        return
    if feature.type == "IdFeature" and feature.inputs == (side.id,):
        side.names[name] = OWN_ID
        side.groups["preference"].setdefault(OWN_ID, identity_of(feature))
        return
    if name in side.names:
        known = [g for g, members in side.groups.items() if side.names[name] in members]
        if known not in ([], [group]):
            section.refuse("feature_names", f"it is in {known[0]} too: leave it in one group", name)
        return
    if group == "preference" and our_name(name) in other.given("preference"):
        section.refuse("feature_names", BOTH, name)
        return
    if our_name(name) in (*side.names.values(), OWN_ID):
        section.refuse("feature_names", f"two are called {our_name(name)}: rename one", name)
        return
    categories = {column: category_of(column, features, side.names) for column in feature.inputs}
    choice = choice_of(feature, categories)
    side.names[name] = our_name(name)
    if choice is None:
        return
    side.groups[group][side.names[name]] = choice
    if choice.kind != "cross":
        column = column_of(feature, side.names[name], choice)
        side.columns[column.name] = column


def _is_mixed(
    sides: Mapping[SideName, SideGroups], section: Section, own: SideName, feature: Feature
) -> bool:
    """Refuse what is made of the other side's columns or of the own id; return whether it is."""
    other = sides["item" if own == "user" else "user"]
    for column in feature.inputs:
        if column == sides[own].id:
            remedy = f"it is made of the {own}'s id, so an untrained word for whoever is new"
        elif column == other.id or column in other.plain - sides[own].plain:
            remedy = (
                f"it is made of {column!r}, which is the {other.side}'s: user and item together no "
                "two-tower model can hold"
            )
        else:
            continue
        section.refuse("feature_names", f"{remedy}: remove it here", feature.name)
        return True
    return False


def _say_unused(features: Mapping[str, Feature], sides: Mapping[SideName, SideGroups]) -> None:
    """Note the features that stand in no group, as a whole."""
    used = {
        id(feature.section)
        for name, feature in features.items()
        if any(name in side.names for side in sides.values())
    }
    for feature in features.values():
        if id(feature.section) not in used:
            feature.section.note_all("in no group of the model, so EasyRec does not use it either")


def most_common_dim(sides: Mapping[SideName, SideGroups]) -> int | None:
    """Return the width that most features have."""
    widths = Counter(
        choice.options["dim"]
        for side in sides.values()
        for members in side.groups.values()
        for choice in members.values()
        if "dim" in choice.options
    )
    return widths.most_common(1)[0][0] if widths else None
