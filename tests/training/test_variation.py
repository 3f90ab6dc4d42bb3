from pathlib import Path

import pytest

from export.contract.errors import ConfigError
from training.variation import read_variation, varied


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dropout.item=0,.25,1", {"dropout.item=0": 0, "dropout.item=0.25": 0.25}),
        ("training.learning_rate=1e-3,.01", {"training.learning_rate=0.001": 1e-3}),
        ("training.half_life=null,2d", {"training.half_life=2d": "2d"}),
        ("training.refit=true,false", {"training.refit=true": True}),
    ],
)
def test_a_value_has_one_name(text: str, named: dict[str, object]) -> None:
    found = read_variation(text)
    assert named.items() <= found.named.items()
    assert found.document() == {"path": found.path, "values": found.named}


def test_each_name_is_the_configuration_with_its_value_and_nothing_else(world_yaml: Path) -> None:
    variation = read_variation("losses.in_batch_softmax.temperature=.2,.05")
    found = varied(world_yaml, ["dropout.item=.25"], variation)
    assert list(found) == list(variation.named)
    first, second = found.values()
    assert [one.losses[0].model_dump()["temperature"] for one in (first, second)] == [0.2, 0.05]
    assert first.dropout.item == second.dropout.item == 0.25
    assert first.model_copy(update={"losses": second.losses}) == second


@pytest.mark.parametrize(
    "text",
    [
        "dropout.item",
        "dropout.item=",
        "dropout.item=.5",
        "=1,2",
        "dropout.item=0,,1",
        "dropout.item=0,.nan",
        "tower.hidden=[8],[16]",
        "dropout.item=0]",
    ],
)
def test_what_is_no_list_of_numbers_or_words_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected path=value,value,... with two or more"):
        read_variation(text)


def test_a_value_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="a value stands twice"):
        read_variation("dropout.item=.5,1,0.50")


def test_a_value_that_is_no_name_of_a_folder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'split.cold=a/b.parquet' cannot be the name"):
        read_variation("split.cold=a/b.parquet,c.parquet")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dropout.itme=0,1", "dropout.itme: unknown key"),
        ("dropout.item=0,2", "dropout.item"),
        ("losses.mimik.user=0,1", "--vary losses.mimik.user=0: no 'mimik' in the list"),
        ("dropout.item=1,1.0", "dropout.item=1 and dropout.item=1.0 are the same configuration"),
        ("training.seed=1,2", "seeds are given by --seeds"),
        ("training.select.all=0,1", "data, split, training.seed and training.select are the same"),
        ("split.validation.pairs=.1,.2", "data, split, training.seed and training.select"),
    ],
)
def test_what_leads_nowhere_or_cannot_be_compared_is_refused(
    world_yaml: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        varied(world_yaml, None, read_variation(text))
