"""Who trains, who validates, who tests: by time, by held-out ids, by first row, or as given."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from export.contract.errors import DataError
from export.contract.strict import Strict
from training.carve import ValidationConfig, carve, share_of_pairs
from training.given import (
    GivenSplit,
    given_candidates,
    given_cold,
    given_masks,
    given_parts,
    given_users,
)
from training.hashing import chosen
from training.parts import PARTS, TEST, TRAIN, UNUSED, VALIDATION, Cold, Flags, Split, part_counts

if TYPE_CHECKING:  # its config holds SplitConfig
    from training.data import Data

__all__ = [
    "PARTS",
    "TEST",
    "TRAIN",
    "UNUSED",
    "VALIDATION",
    "ByTimeSplit",
    "FirstSeenSplit",
    "GivenSplit",
    "HeldOutIdsSplit",
    "Split",
    "SplitConfig",
    "ValidationConfig",
    "make_split",
]


class HeldOut(Strict):
    """What a split holds out: a `test` share, and cold ids that train nothing, by hash."""

    test: float = Field(0.2, gt=0, lt=1)
    cold_items: float = Field(0.15, ge=0, lt=1)
    cold_users: float = Field(0.15, ge=0, lt=1)
    seed: int = 1
    validation: ValidationConfig = ValidationConfig()


class ByTimeSplit(HeldOut):
    """The last `test` share of rows by time tests."""

    kind: Literal["by_time"] = "by_time"


class HeldOutIdsSplit(HeldOut):
    """A `test` share of pairs tests, whenever they happened."""

    kind: Literal["held_out_ids"] = "held_out_ids"


class FirstSeenSplit(Strict):
    """What happens from a moment on tests; whoever first appears then is cold, no one is drawn.

    `moment` is in the terms of `timestamp`: seconds, or a date and time (without a zone: UTC).
    """

    kind: Literal["first_seen"] = "first_seen"
    moment: float | str
    validation: ValidationConfig = ValidationConfig()

    @field_validator("moment", mode="before")
    @classmethod
    def _as_written(cls, moment: Any) -> Any:
        return moment.isoformat() if isinstance(moment, date) else moment

    @field_validator("moment")
    @classmethod
    def _is_a_moment(cls, moment: float | str) -> float | str:
        try:
            seconds(moment)
        except ValueError as error:
            raise ValueError("expected seconds as a number, or a date and time") from error
        return moment


SplitConfig = Annotated[
    ByTimeSplit | HeldOutIdsSplit | FirstSeenSplit | GivenSplit,
    Field(discriminator="kind"),
]


def seconds(moment: float | str) -> float:
    """Return a number as it is, a date and time in seconds from 1970; raises ValueError."""
    if not isinstance(moment, str):
        return moment
    time = datetime.fromisoformat(moment)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def make_split(config: SplitConfig, data: "Data", folder: Path) -> Split:
    """Give every row of `data` its part.

    Raises:
        DataError: The split needs a column or file that is not there, or leaves nothing to
            train or (unless it was given) to test.

    """
    part, cold = _parts(config, data, folder)
    _check(part, TRAIN, "no train row is left")
    by_time = not isinstance(config, HeldOutIdsSplit)
    part, pseudo = carve(config.validation, data, part, by_time=by_time)
    _check(part, TRAIN, "no train row is left beside validation")
    if not isinstance(config, GivenSplit):
        _check(part, TEST, "no test row is left")
        return _with_cold(data, part, cold, pseudo, natural=True)
    split = _with_cold(data, part, cold, pseudo, natural=config.cold is None)
    return replace(
        split,
        candidates=given_candidates(config, data, folder),
        masks=given_masks(config, data, folder),
        users=given_users(config, data, folder),
    )


def _parts(config: SplitConfig, data: "Data", folder: Path) -> tuple[NDArray[np.int8], Cold]:
    """Return the part of each row, before validation is carved, and who is held out."""
    if isinstance(config, GivenSplit):
        part = given_parts(config, data, folder)
        return part, given_cold(config, data, part, folder)
    if isinstance(config, FirstSeenSplit):
        tests = _since(config.moment, data.interactions.timestamp)
        return np.where(tests, TEST, TRAIN).astype(np.int8), Cold.nobody(data)
    seed = config.seed
    cold = Cold(
        chosen(data.users.ids, config.cold_users, f"cold user {seed}"),
        chosen(data.items.ids, config.cold_items, f"cold item {seed}"),
    )
    if isinstance(config, ByTimeSplit):
        tests = _latest(data.interactions.timestamp, config.test)
    else:
        tests = share_of_pairs(data, config.test, f"test {seed}")
    part = np.where(tests, TEST, np.where(cold.any_of(data), UNUSED, TRAIN)).astype(np.int8)
    return part, cold


def _check(part: NDArray[np.int8], needed: int, fault: str) -> None:
    if not (part == needed).any():
        raise DataError(f"split: {fault} ({part_counts(part)})")


def _with_cold(
    data: "Data", part: NDArray[np.int8], cold: Cold, pseudo: Cold, *, natural: bool
) -> Split:
    """Say who is cold: whoever was held out and, if `natural`, whoever has no row so far."""
    rows = data.interactions
    users = {VALIDATION: cold.users | pseudo.users, TEST: cold.users}
    items = {VALIDATION: cold.items | pseudo.items, TEST: cold.items}
    if natural:
        for number, known in ((VALIDATION, (TRAIN,)), (TEST, (TRAIN, VALIDATION))):
            seen = np.isin(part, known)
            users[number] = users[number] | ~_members(rows.user[seen], len(data.users))
            items[number] = items[number] | ~_members(rows.item[seen], len(data.items))
    return Split(part, cold_users=users, cold_items=items)


def _latest(timestamp: NDArray[np.float64] | None, share: float) -> Flags:
    if timestamp is None:
        raise DataError("split by_time: interactions have no timestamp; use held_out_ids or given")
    return timestamp > np.quantile(timestamp, 1 - share)


def _since(moment: float | str, timestamp: NDArray[np.float64] | None) -> Flags:
    if timestamp is None:
        raise DataError(
            "split first_seen: interactions have no timestamp; use held_out_ids or given"
        )
    first, last, start = timestamp.min(), timestamp.max(), seconds(moment)
    if not first < start <= last:
        raise DataError(
            f"split.moment: got {moment} ({start:.0f} s), expected a moment after the first row "
            f"({first:.0f} s) and not after the last ({last:.0f} s)"
        )
    return timestamp >= start


def _members(positions: NDArray[np.int32], size: int) -> Flags:
    flags = np.zeros(size, dtype=bool)
    flags[positions] = True
    return flags
