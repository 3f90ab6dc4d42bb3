from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from export.contract.errors import ConfigError
from export.contract.side import TAKEN_NAMES
from training.checkpoint import resolved
from training.config import TrainConfig, parse_config, read_config
from training.document import parse_yaml
from training.losses import InBatchSoftmax
from training.towers import AdditiveConfig

PATH = Path("folder/train.yaml")


def raw_config() -> dict[str, Any]:
    return {
        "user": {
            "content": {"gender": {"kind": "category"}},
            "context": {"tab": {"kind": "category"}},
            "preference": {
                "taste": {"kind": "tags", "aggregate": "profile", "of": "tags", "table": "tags"}
            },
        },
        "item": {
            "content": {"tags": {"kind": "tags", "table": "tags"}, "year": {"kind": "number"}},
            "preference": {"clicks": {"kind": "number", "aggregate": "count"}},
        },
        "split": {"kind": "by_time"},
        "tower": {"kind": "additive", "dim": 8},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
    }


def at(raw: dict[str, Any], path: str) -> Any:
    for key in path.split(".") if path else []:
        raw = raw[int(key)] if isinstance(raw, list) else raw.setdefault(key, {})
    return raw


def told(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, PATH)
    message = str(caught.value)
    assert message.startswith(f"{PATH}: ")
    assert "\n" not in message
    return message


def test_the_smallest_config_is_good() -> None:
    config = parse_config(raw_config(), PATH)
    assert config.similarity == "cosine"
    assert config.towers[0].dim == config.towers[1].dim == 8


@pytest.mark.parametrize(
    "level",
    [
        "",
        "data",
        "user",
        "user.content.gender",
        "user.preference.taste",
        "split",
        "split.validation",
        "tower",
        "losses.0",
        "negatives.0",
        "dropout",
        "training",
        "training.select",
    ],
)
def test_an_unknown_key_is_refused_at_every_level(level: str) -> None:
    raw = raw_config()
    at(raw, level)["tempreature"] = 1
    message = told(raw)
    assert "tempreature: unknown key" in message
    assert all(part in message for part in level.split("."))


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("tower", ["additive", "dropoutnet", "mlp", "senet", "parallel"]),
        ("losses.0", ["in_batch_softmax", "sv_softmax", "pairwise", "pointwise"]),
        ("negatives.0", ["in_batch", "roll", "mixed", "hard", "given"]),
        ("split", ["by_time", "held_out_ids", "given"]),
        ("user.content.gender", ["category", "number", "tags", "sequence"]),
    ],
)
def test_a_wrong_kind_names_itself_and_the_members(path: str, members: list[str]) -> None:
    raw = raw_config()
    at(raw, path)["kind"] = "mpl"
    message = told(raw)
    assert "'mpl'" in message
    assert all(f"'{member}'" in message for member in members)


def test_a_wrong_aggregate_names_itself_and_the_members() -> None:
    raw = raw_config()
    raw["item"]["preference"]["clicks"]["aggregate"] = "cuont"
    message = told(raw)
    assert all(f"'{name}'" in message for name in ("cuont", "count", "rate", "last", "profile"))


@pytest.mark.parametrize("family", ["losses", "negatives"])
def test_an_empty_family_is_refused(family: str) -> None:
    assert f"{family}: " in told(raw_config() | {family: []})


def test_only_the_member_at_fault_is_named_and_not_its_list() -> None:
    message = told(raw_config() | {"losses": [{"kind": "x"}]})
    assert message.count("losses") == 1


@pytest.mark.parametrize("missing", ["user", "item", "split", "losses", "negatives"])
def test_what_has_no_default_is_required(missing: str) -> None:
    raw = raw_config()
    del raw[missing]
    assert f"{missing}: Field required" in told(raw)


def test_a_split_without_a_kind_is_told_to_say_it() -> None:
    assert "split: expected a kind" in told(raw_config() | {"split": {"test": 0.2}})


@pytest.mark.parametrize("name", ["id", "items", "user", "context", "preference", "user_id"])
@pytest.mark.parametrize("place", ["user.content", "user.context", "item.preference"])
def test_a_reserved_name_is_refused_in_every_group(name: str, place: str) -> None:
    assert name in TAKEN_NAMES
    raw = raw_config()
    at(raw, place)[name] = {"kind": "category"}
    assert f"{place}: feature name {name!r} is taken" in told(raw)


def test_a_feature_stands_in_one_group_only() -> None:
    raw = raw_config()
    raw["user"]["context"]["gender"] = {"kind": "category"}
    assert "'gender' stands in two groups" in told(raw)


def test_items_have_no_context() -> None:
    raw = raw_config()
    raw["item"]["context"] = {"tab": {"kind": "category"}}
    assert "item: an item has no context" in told(raw)


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_side_without_features_is_refused(side: str) -> None:
    raw = raw_config()
    raw["user"].pop("preference")
    assert f"{side}: expected at least one feature" in told(raw | {side: {}})


def test_towers_of_unequal_dim_are_refused() -> None:
    raw = raw_config() | {"user_tower": {"kind": "additive", "dim": 16}}
    assert "16 and 8 values" in told(raw)


def test_features_of_one_table_have_one_dim() -> None:
    raw = raw_config()
    raw["user"]["preference"]["taste"]["dim"] = 4
    message = told(raw)
    assert "user.taste and item.tags share table 'tags'" in message
    assert "got dim 4 and 8" in message
    raw["item"]["content"]["tags"]["dim"] = 4
    assert parse_config(raw, PATH).item.features["tags"].dim == 4


def test_a_side_without_a_tower_is_named() -> None:
    raw = raw_config()
    raw["user_tower"] = raw.pop("tower")
    assert "neither tower nor item_tower is given" in told(raw)


def test_a_side_with_a_tower_of_its_own_uses_it() -> None:
    raw = raw_config() | {"item_tower": {"kind": "additive", "dim": 8, "hidden": [4]}}
    user, item = parse_config(raw, PATH).towers
    assert isinstance(user, AdditiveConfig)
    assert isinstance(item, AdditiveConfig)
    assert (user.hidden, item.hidden) == ((), (4,))


def test_a_profile_of_an_item_is_refused() -> None:
    raw = raw_config()
    raw["item"]["preference"]["p"] = {"kind": "tags", "aggregate": "profile", "of": "tags"}
    assert "item.preference.p: 'profile' is a statistic of user only" in told(raw)


@pytest.mark.parametrize("of", ["tag", "year", "clicks", "viewers"])
def test_a_profile_of_anything_but_given_words_is_refused(of: str) -> None:
    raw = raw_config()
    raw["item"]["preference"]["viewers"] = {"kind": "sequence", "aggregate": "last"}
    raw["user"]["preference"]["taste"]["of"] = of
    assert f"user.preference.taste.of: got {of!r}, expected an item feature" in told(raw)


@pytest.mark.parametrize("pooling", ["din", "target", 3, None, ["mean"]])
def test_attention_by_a_candidate_is_refused_with_what_a_tower_can_do(pooling: object) -> None:
    raw = raw_config()
    raw["user"]["preference"]["taste"]["pooling"] = pooling
    message = told(raw)
    assert "user.preference.taste.tags.pooling: expected mean, sqrtn, or attention" in message
    assert "a tower sees no candidate" in message


def test_a_statistic_outside_of_preference_is_refused() -> None:
    raw = raw_config()
    raw["item"]["content"]["clicks"] = raw["item"]["preference"].pop("clicks")
    assert "'clicks': an aggregate belongs to group 'preference'" in told(raw)


@pytest.mark.parametrize("aggregate", [{"aggregate": "distinct", "of": "year"}])
def test_distinct_words_of_what_has_none_are_refused(aggregate: dict[str, str]) -> None:
    raw = raw_config()
    raw["user"]["preference"]["met"] = {"kind": "number", **aggregate}
    assert "user.preference.met.of: got 'year', expected an item feature" in told(raw)
    raw = raw_config()
    raw["item"]["preference"]["met"] = {"kind": "number", "aggregate": "distinct", "of": "tags"}
    assert "item.preference.met: 'distinct' is a statistic of user only" in told(raw)


def test_mean_of_a_column_is_no_word_of_an_item() -> None:
    raw = raw_config()
    raw["user"]["preference"]["seconds"] = {"kind": "number", "aggregate": "mean", "of": "watched"}
    assert parse_config(raw, Path("train.yaml")).user.preference["seconds"].statistic is not None


def test_a_similarity_that_is_not_there_is_refused() -> None:
    message = told(raw_config() | {"similarity": "euclid"})
    assert "similarity: " in message
    assert "'cosine'" in message
    assert "'inner_product'" in message


def test_negatives_of_one_kind_stand_once() -> None:
    raw = raw_config() | {"negatives": [{"kind": "in_batch"}, {"kind": "in_batch"}]}
    assert "negatives: 'in_batch' stands twice" in told(raw)


def test_a_roll_beside_the_whole_batch_is_refused() -> None:
    raw = raw_config() | {"negatives": [{"kind": "roll"}, {"kind": "in_batch"}]}
    assert "negatives: 'roll' adds nothing to 'in_batch'" in told(raw)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("training", "epochs", 0),
        ("training", "batch", 0),
        ("training", "learning_rate", 0),
        ("training", "learning_rate", float("inf")),
        ("training", "learning_rate", "fast"),
        ("training", "warmup", 1.0),
        ("training", "decay", "linear"),
        ("training", "patience", 0),
        ("training.select", "warm", -1),
        ("dropout", "user", 1.1),
        ("dropout", "item", float("nan")),
        ("split", "test", 0),
        ("split", "cold_items", 1),
        ("split.validation", "pairs", 1),
        ("losses.0", "temperature", 0),
        ("losses.0", "weight", 0),
        ("tower", "dim", 0),
    ],
)
def test_a_value_out_of_range_is_named_with_what_came(path: str, key: str, value: object) -> None:
    raw = raw_config()
    at(raw, path)[key] = value
    message = told(raw)
    assert f"{key}: " in message
    assert f"got {value!r}" in message


def test_selection_needs_a_weight_above_zero() -> None:
    raw = raw_config()
    raw["training"] = {"select": {"warm": 0, "cold_item": 0, "cold_user": 0}}
    assert "training.select: expected at least one weight above 0" in told(raw)


def test_all_faults_are_told_at_once() -> None:
    raw = raw_config() | {"similarity": "dot"}
    raw["training"] = {"epochs": "many"}
    message = told(raw)
    assert "similarity" in message
    assert "training.epochs" in message


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(raw_config()), encoding="utf-8")
    return path


def test_the_data_folder_is_relative_to_the_yaml(written: Path) -> None:
    assert read_config(written).data.folder == (written.parent / "data").resolve()
    absolute = read_config(written, ["data.folder=/elsewhere"])
    assert absolute.data.folder == Path("/elsewhere")


@pytest.mark.parametrize("name", ["in_batch_softmax", "0"])
def test_an_override_reaches_the_config(written: Path, name: str) -> None:
    config = read_config(written, [f"losses.{name}.temperature=.05", "training.epochs=3"])
    loss = config.losses[0]
    assert isinstance(loss, InBatchSoftmax)
    assert loss.temperature == 0.05
    assert config.training.epochs == 3


def test_scientific_numbers_mean_the_same_in_file_and_override(written: Path) -> None:
    with written.open("a") as file:
        file.write("training: {learning_rate: 2e-3}\n")
    assert read_config(written).training.learning_rate == 0.002
    override = ["training.learning_rate=5e-4"]
    assert read_config(written, override).training.learning_rate == 0.0005


def test_a_wrong_override_names_the_key(written: Path) -> None:
    with pytest.raises(ConfigError, match=r"losses\.0\.in_batch_softmax\.temprature: unknown key"):
        read_config(written, ["losses.in_batch_softmax.temprature=1"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1", "not YAML"),
        (b"a: 1\na: 2\n", "stands twice"),
        (b"- 1\n", "expected keys and values, got list"),
        (b"", "expected keys and values, got NoneType"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
    ],
    ids=["broken", "twice", "list", "empty", "bytes"],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        read_config(tmp_path / "none.yaml")


def test_a_resolved_config_reads_back_the_same() -> None:
    config = parse_config(raw_config(), PATH)
    text = resolved(config, Path("elsewhere"))
    assert parse_config(parse_yaml(text), Path("elsewhere/config.yaml")) == config


def test_a_config_cannot_change() -> None:
    config = parse_config(raw_config(), PATH)
    assert isinstance(config, TrainConfig)
    with pytest.raises(ValidationError, match="frozen"):
        config.training.epochs = 3  # type: ignore[misc]
