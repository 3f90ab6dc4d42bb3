"""Feature kinds. To add one: write its file, then add its line here."""

from typing import Annotated, get_args

from pydantic import Field

from export.contract.features.base import (
    FIRST_WORD_ROW,
    MISSING_ROW,
    MISSING_TOKEN,
    PADDING_ROW,
    PADDING_TOKEN,
    UNKNOWN_ROW,
    FeatureKind,
    Form,
    Input,
    Mismatch,
    Raw,
)
from export.contract.features.category import Category
from export.contract.features.cross import Cross
from export.contract.features.number import Number
from export.contract.features.sequence import SequenceFeature
from export.contract.features.tags import Tags
from export.contract.features.text import Text
from export.contract.features.vector import Vector

Feature = Annotated[
    Category | Number | Tags | SequenceFeature | Vector | Cross | Text, Field(discriminator="kind")
]
KINDS: tuple[type[FeatureKind], ...] = get_args(get_args(Feature)[0])

__all__ = [
    "FIRST_WORD_ROW",
    "KINDS",
    "MISSING_ROW",
    "MISSING_TOKEN",
    "PADDING_ROW",
    "PADDING_TOKEN",
    "UNKNOWN_ROW",
    "Category",
    "Cross",
    "Feature",
    "FeatureKind",
    "Form",
    "Input",
    "Mismatch",
    "Number",
    "Raw",
    "SequenceFeature",
    "Tags",
    "Text",
    "Vector",
]
