"""The configuration of a training run: one YAML, read as the description of the experiment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from export.contract.errors import ConfigError
from export.contract.features import Category
from export.contract.features.bag import Bag
from export.contract.sharing import check_tables, table_users
from export.contract.side import Side, SideName
from export.contract.similarity import Similarity
from export.contract.statistics.base import Window
from export.contract.strict import Strict
from training.demands import check_losses, check_towers
from training.document import parse_yaml
from training.dropout import DropoutConfig
from training.faults import explain
from training.losses import LossConfig
from training.negatives import NegativeConfig
from training.override import override
from training.presets import with_preset
from training.ranker import RankerConfig
from training.ranker.check import check_ranker
from training.span import Span
from training.split import SplitConfig
from training.towers import TowerConfig
from training.wmf import WMFConfig


class DataConfig(Strict):
    """Where the three tables lie; `folder` is relative to the YAML's own folder."""

    folder: Path = Path("data")
    interactions: str = "interactions.parquet"
    users: str = "users.parquet"
    items: str = "items.parquet"

    @property
    def data_files(self) -> tuple[str, ...]:
        """The three tables."""
        return self.interactions, self.users, self.items


class SelectConfig(Strict):
    """Weights of the validation slices' recall@100 in the figure that selects a checkpoint.

    `all` is the slice in which cold and warm items compete; it holds the positives of the others.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    warm: float = Field(0.5, ge=0)
    cold_item: float = Field(0.25, ge=0)
    cold_user: float = Field(0.25, ge=0)
    cold_both: float = Field(0.0, ge=0)
    all: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not self.weights:
            raise ValueError("expected at least one weight above 0")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weights above 0, by slice."""
        return {name: weight for name, weight in self.model_dump().items() if weight > 0}

    def figure(self, recall: Mapping[str, float]) -> float:
        """Return the weighted mean over the slices there are; one with a weight has to be there."""
        weights = {name: weight for name, weight in self.weights.items() if name in recall}
        total = sum(weight * recall[name] for name, weight in weights.items())
        return total / sum(weights.values())


class TrainingConfig(Strict):
    """The optimiser (AdamW), its schedule, and when to stop.

    `warmup` is the share of all steps over which the learning rate rises; `decay` says how it
    falls afterwards. `patience` is the number of epochs without a better validation figure
    before training stops. `weight_decay` acts on the networks, `embedding_decay` on the tables.
    `clip_norm` bounds the norm of all gradients of a step together; None leaves them as they are.
    `half_life` is the age, counted back from the newest row, at which a row counts half as much.
    `refit`: once validation has selected the number of epochs, a new model is trained for as
    many with the validation rows among its own, and that one is kept.
    """

    model_config = ConfigDict(allow_inf_nan=False)
    searched: ClassVar[Mapping[str, Span]] = {"learning_rate": Span(0.0005, 0.02)}

    epochs: int = Field(10, ge=1)
    batch: int = Field(1024, ge=1)
    seed: int = Field(1, ge=0)
    learning_rate: float = Field(0.002, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1)
    decay: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    embedding_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    half_life: Window | None = None
    patience: int = Field(3, ge=1)
    refit: bool = True
    select: SelectConfig = SelectConfig()


class TrainConfig(Strict):
    """A whole run. `tower` speaks for both sides unless a side has its own.

    `similarity` is what towers are trained by: the cosine of their vectors, or the inner product.

    `allow_id` lets a content feature hold the entity's own id, which is looked for when the
    schema is fitted. A `ranker` is trained after the towers, from the same prepared data.

    `factors`, if given, are fitted to the train rows before anything else, and written into the
    data folder, for losses and features to read.
    """

    data: DataConfig = DataConfig()
    user: Side
    item: Side
    allow_id: bool = False
    split: SplitConfig
    factors: WMFConfig | None = None
    similarity: Similarity = "cosine"
    tower: TowerConfig | None = None
    user_tower: TowerConfig | None = None
    item_tower: TowerConfig | None = None
    losses: tuple[LossConfig, ...] = Field(min_length=1)
    negatives: tuple[NegativeConfig, ...] = Field(min_length=1)
    dropout: DropoutConfig = DropoutConfig()
    training: TrainingConfig = TrainingConfig()
    ranker: RankerConfig | None = None

    @field_validator("item")
    @classmethod
    def _items_have_no_context(cls, item: Side) -> Side:
        if item.context:
            raise ValueError("an item has no context; context is what is known of a request")
        return item

    @field_validator("user", "item")
    @classmethod
    def _has_features(cls, side: Side) -> Side:
        if not side.features:
            raise ValueError("expected at least one feature")
        return side

    @model_validator(mode="after")
    def _towers_fit(self) -> Self:
        for name, own in (("user_tower", self.user_tower), ("item_tower", self.item_tower)):
            if own is None and self.tower is None:
                raise ValueError(f"neither tower nor {name} is given")
        if self.towers[0].dim != self.towers[1].dim:
            dims = f"{self.towers[0].dim} and {self.towers[1].dim}"
            raise ValueError(f"the towers give vectors of {dims} values; they have to be equal")
        return self

    @field_validator("negatives")
    @classmethod
    def _negatives_differ(cls, negatives: tuple[NegativeConfig, ...]) -> tuple[Any, ...]:
        kinds = [one.kind for one in negatives]
        if twice := [kind for kind in kinds if kinds.count(kind) > 1]:
            raise ValueError(f"{twice[0]!r} stands twice; a second one draws the same items")
        if {"in_batch", "roll"} <= set(kinds):
            raise ValueError("'roll' adds nothing to 'in_batch', which holds all of the batch")
        return negatives

    @model_validator(mode="after")
    def _statistics_fit(self) -> Self:
        for side_name, side in (("user", self.user), ("item", self.item)):
            for name, feature in side.preference.items():
                statistic = feature.statistic
                if statistic is None:
                    continue
                if side_name not in statistic.sides:
                    raise ValueError(
                        f"{side_name}.preference.{name}: {statistic.aggregate!r} is a statistic "
                        f"of {' and '.join(statistic.sides)} only"
                    )
                of = statistic.words_of
                if of is not None and not self._has_words(of):
                    raise ValueError(
                        f"{side_name}.preference.{name}.of: got {of!r}, expected an item feature "
                        "of kind category, tags, text or sequence that is no statistic"
                    )
        return self

    @model_validator(mode="after")
    def _demands_are_met(self) -> Self:
        towers: dict[SideName, TowerConfig] = dict(zip(("user", "item"), self.towers, strict=True))
        check_towers(towers, {"user": self.user, "item": self.item})
        check_losses(self.losses, towers, self.item, self.similarity)
        return self

    @model_validator(mode="after")
    def _tables_agree(self) -> Self:
        sides: list[tuple[SideName, Side]] = [("user", self.user), ("item", self.item)]
        check_tables(sides)
        for table, users in table_users(sides).items():
            width = {
                f"{side}.{name}": self.side(side).features[name].dim or self.embedding(side)
                for side, name in users
            }
            first, other = min(width, key=lambda n: width[n]), max(width, key=lambda n: width[n])
            if width[first] != width[other]:
                raise ValueError(
                    f"{first} and {other} share table {table!r}, whose rows have one width; "
                    f"got dim {width[first]} and {width[other]}"
                )
        return self

    @model_validator(mode="after")
    def _ranker_fits(self) -> Self:
        if self.ranker is not None:
            check_ranker(self.ranker, self.user, self.item)
        return self

    def _has_words(self, of: str) -> bool:
        feature = self.item.features.get(of)
        return isinstance(feature, Category | Bag) and feature.statistic is None

    def side(self, name: SideName) -> Side:
        """Return the features of one side."""
        return self.user if name == "user" else self.item

    def embedding(self, side: SideName) -> int:
        """Return the width of a feature's vector that says no `dim` of its own."""
        return self.towers[0 if side == "user" else 1].embedding

    @property
    def towers(self) -> tuple[TowerConfig, TowerConfig]:
        """The towers of user and item."""
        user, item = self.user_tower or self.tower, self.item_tower or self.tower
        assert user is not None
        assert item is not None
        return user, item


def read_config(
    path: Path,
    overrides: list[str] | None = None,
    preset: str | None = None,
    vary: str | None = None,
) -> TrainConfig:
    """Read a run's YAML, with the model of a preset, and with `--set path=value` overrides.

    `vary` is one more override, laid over all others, of which an error says `--vary`.

    Raises:
        ConfigError: Names the key, what came and what would be right.

    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error.reason}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(raw).__name__}")
    if preset is not None:
        raw = with_preset(raw, preset)
    for one in overrides or []:
        override(raw, one)
    if vary is not None:
        override(raw, vary, "--vary")
    return parse_config(raw, path)


def parse_config(raw: dict[str, Any], path: Path) -> TrainConfig:
    """Check a configuration that lies (or would lie) at `path`.

    Raises:
        ConfigError: Names the key, what came and what would be right.

    """
    try:
        config = TrainConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, TrainConfig)}") from error
    folder = (path.parent / config.data.folder).resolve()
    data = config.data.model_copy(update={"folder": folder})
    return config.model_copy(update={"data": data})
