"""Declared preference statistics. To add one: write its file, then add its line here."""

from typing import Annotated

from pydantic import Field

from export.contract.statistics.base import (
    Aggregate,
    Floats,
    Gives,
    Recent,
    Side,
    Value,
    Windowed,
    matches,
    seconds,
)
from export.contract.statistics.count import Count
from export.contract.statistics.distinct import Distinct
from export.contract.statistics.events import Events, Lookup
from export.contract.statistics.given_vectors import GivenVectors
from export.contract.statistics.identity import Identity
from export.contract.statistics.item_vectors import ItemVectors
from export.contract.statistics.last import Last
from export.contract.statistics.mean import Mean
from export.contract.statistics.profile import Profile
from export.contract.statistics.rate import Rate
from export.contract.statistics.total import Smoothed, Total, Totals
from export.contract.statistics.user_vectors import UserVectors

Statistic = Annotated[
    Count | Rate | Mean | Distinct | Last | Profile | ItemVectors | UserVectors | Identity,
    Field(discriminator="aggregate"),
]

__all__ = [
    "Aggregate",
    "Count",
    "Distinct",
    "Events",
    "Floats",
    "GivenVectors",
    "Gives",
    "Identity",
    "ItemVectors",
    "Last",
    "Lookup",
    "Mean",
    "Profile",
    "Rate",
    "Recent",
    "Side",
    "Smoothed",
    "Statistic",
    "Total",
    "Totals",
    "UserVectors",
    "Value",
    "Windowed",
    "matches",
    "seconds",
]
