"""What towers and losses ask of the features and of each other, checked before data are read."""

from collections.abc import Mapping, Sequence
from typing import get_args

from export.contract.features import Category
from export.contract.side import Side, SideName
from export.contract.similarity import Similarity
from training.augmented import check_augmented
from training.losses import LossConfig
from training.towers import TowerConfig

Towers = Mapping[SideName, TowerConfig]


def check_towers(towers: Towers, sides: Mapping[SideName, Side]) -> None:
    """Check that each side has the features its tower asks for.

    Raises:
        ValueError: One has not; names the key, and what to write there.

    """
    for side, tower in towers.items():
        if tower.takes_augmented:
            check_augmented(side, sides[side], tower.kind, tower.dim, tower.embedding)


def check_losses(
    losses: Sequence[LossConfig], towers: Towers, item: Side, similarity: Similarity
) -> None:
    """Check that towers, item features and similarity give what each loss reads.

    Raises:
        ValueError: They do not; names the loss, and what to write in its place or beside it.

    """
    for loss in losses:
        if loss.needs_product and similarity != "inner_product":
            raise ValueError(
                f"losses.{loss.kind}: its targets are products of any size, which no {similarity} "
                "reaches; say similarity: inner_product"
            )
        without = [side for side in towers if not towers[side].takes_augmented]
        if loss.needs_augmented and without:
            raise ValueError(
                f"losses.{loss.kind}: reads augmented vectors of both sides, and the {without[0]} "
                f"tower {towers[without[0]].kind!r} has none; take kind: "
                f"{' or '.join(_augmenting())} for tower, or leave the loss out"
            )
        for name in loss.categories:
            feature = item.features.get(name)
            if not isinstance(feature, Category) or feature.statistic is not None:
                raise ValueError(
                    f"losses.{loss.kind}: got {name!r}, expected an item feature of kind category "
                    f"that is no statistic; there is {_categories(item) or 'none'}"
                )


def _augmenting() -> list[str]:
    members = get_args(get_args(TowerConfig)[0])
    return [one.model_fields["kind"].default for one in members if one.takes_augmented]


def _categories(item: Side) -> str:
    kept = item.of_kind(Category).items()
    return ", ".join(name for name, one in kept if one.statistic is None)
