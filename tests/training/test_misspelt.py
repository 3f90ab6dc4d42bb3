import pytest

from training.config import TrainConfig
from training.misspelt import nearest


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        (("trainng",), "training"),
        (("training", "select", "cold_itm"), "cold_item"),
        (("tower", "dropoutnet", "activaton"), "activation"),
        (("user_tower", "senet", "group"), "groups"),
        (("tower", "parallel", "channels", 1, "mlp", "hiden"), "hidden"),
        (("losses", 0, "sv_softmax", "gama"), "gamma"),
        (("losses", 1, "reconstruction", "factors", "item"), "items"),
        (("negatives", 2, "roll", "exposure"), "exposures"),
        (("split", "given", "cold_"), "cold"),
        (("item", "content", "any name", "number", "bucket"), "buckets"),
        (("user", "preference", "x", "sequence", "statistic", "last", "nn"), "n"),
        (("ranker", "din", "hidde"), "hidden"),
        (("losses", 0, "sv_softmax", "epochs"), None),  # a key of another part
        (("nowhere", "epoch"), None),
    ],
)
def test_the_nearest_key_of_the_part_that_it_stands_in(
    place: tuple[str | int, ...], meant: str | None
) -> None:
    assert nearest(TrainConfig, place) == meant
