from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from export.contract.errors import ConfigError
from training.config import parse_config
from training.towers.parallel import ParallelConfig

WIDTHS = {"content": (3, 1), "preference": (5,)}
LITERAL = {"kind": "parallel", "projection": False}
SIZES = {"mlp": 32, "cross": 32, "fm": 1, "cin": 48}


def groups(rows: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(rows, sum(widths)) for name, widths in WIDTHS.items()}


PRESENT = torch.tensor([[True], [False], [True], [False]])


def parsed(**options: object) -> ParallelConfig:
    return ParallelConfig.model_validate(options)


def test_by_default_four_channels_are_projected() -> None:
    config = parsed()
    assert [one.kind for one in config.channels] == ["mlp", "cross", "fm", "cin"]
    tower = config.build(WIDTHS)
    assert isinstance(tower.projection, nn.Linear)
    assert tower.projection.in_features == 113
    assert config.dim == 64
    assert tower(groups(), PRESENT).shape == (4, 64)


@pytest.mark.parametrize("kind", SIZES)
def test_a_channel_may_stand_alone_and_gives_as_many_values_as_it_says(kind: str) -> None:
    config = parsed(channels=[{"kind": kind}], projection=False)
    assert config.dim == config.channels[0].size == SIZES[kind]
    assert config.build(WIDTHS)(groups(), PRESENT).shape == (4, SIZES[kind])


def test_the_projection_is_a_linear_map_of_what_the_channels_give() -> None:
    tower = parsed(dim=3, embedding=4).build(WIDTHS).eval()
    wide = tower.fields(groups(), PRESENT)
    given = torch.cat([channel(wide) for channel in tower.channels], dim=1)
    torch.testing.assert_close(tower(groups(), PRESENT), tower.projection(given))


def test_without_projection_the_vector_is_what_the_channels_give() -> None:
    tower = parsed(projection=False).build(WIDTHS).eval()
    wide = tower.fields(groups(), PRESENT)
    given = torch.cat([channel(wide) for channel in tower.channels], dim=1)
    assert torch.equal(tower(groups(), PRESENT), given)
    assert given.shape == (4, 32 + 32 + 1 + 48)


def test_features_of_other_widths_are_mapped_to_the_embedding_width() -> None:
    tower = parsed(embedding=5, channels=[{"kind": "fm"}]).build(WIDTHS)
    maps = {n: tuple(p.shape) for n, p in tower.named_parameters() if "even" in n}
    assert maps == {
        "channels.0.even.0.weight": (5, 3),
        "channels.0.even.1.weight": (5, 1),
    }


def raw_config(**towers: object) -> dict[str, Any]:
    side = {"content": {"n": {"kind": "number"}}}
    return {
        "user": side,
        "item": side,
        "split": {"kind": "by_time"},
        "losses": [{"kind": "in_batch_softmax"}],
        "negatives": [{"kind": "in_batch"}],
        **towers,
    }


def told(**towers: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw_config(**towers), Path("train.yaml"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_both_sides_without_projection_agree() -> None:
    config = parse_config(raw_config(tower=LITERAL), Path("train.yaml"))
    assert [one.dim for one in config.towers] == [113, 113]
    again = config.model_dump(mode="json", exclude={"data"})
    assert parse_config(again, Path("train.yaml")).towers == config.towers


def test_sides_whose_channels_give_unequal_vectors_are_refused_before_training() -> None:
    other = LITERAL | {"channels": [{"kind": "mlp"}]}
    assert "vectors of 113 and 32 values; they have to be equal" in told(
        user_tower=LITERAL, item_tower=other
    )
    assert "vectors of 113 and 64 values" in told(user_tower=LITERAL, item_tower={"kind": "mlp"})


def test_a_literal_tower_meets_another_of_the_dim_its_channels_give() -> None:
    towers = {"user_tower": LITERAL, "item_tower": {"kind": "mlp", "dim": 113}}
    config = parse_config(raw_config(**towers), Path("train.yaml"))
    assert [one.dim for one in config.towers] == [113, 113]


def test_a_dim_that_the_channels_do_not_give_is_refused() -> None:
    message = told(tower=LITERAL | {"dim": 64})
    assert "the vector has the 113 values that the channels give; got dim 64" in message


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "tower.parallel.channels: "),
        ([{"kind": "deep"}], "'mlp', 'fm', 'cross', 'cin'"),
        ([{"kind": "fm", "hidden": [8]}], "channels.0.fm.hidden: unknown key"),
        ([{"kind": "mlp", "hidden": []}], "channels.0.mlp.hidden: "),
        ([{"kind": "cin", "maps": [4, 0]}], "channels.0.cin.maps.1: "),
        ([{"kind": "cross", "layers": 0}], "channels.0.cross.layers: "),
    ],
)
def test_a_wrong_channel_is_named_and_nothing_else(
    channels: list[dict[str, Any]], message: str
) -> None:
    for projection in (True, False):
        text = told(tower={"kind": "parallel", "channels": channels, "projection": projection})
        assert message in text
        assert text.count("tower.parallel.") == 1
