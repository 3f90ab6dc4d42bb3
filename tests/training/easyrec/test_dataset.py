from pathlib import Path

import pytest

from export.contract.errors import ConfigError
from tests.training.easyrec.made import DROPOUTNET, TRAIN, easyrec, plan_of, refused
from training.easyrec.plan import Plan, make_plan

SAMPLER = "negative_sampler { num_sample: 4 item_id_field: 'ad' }"


def plan(text: str, folder: Path, user: str | None, item: str | None) -> Plan:
    path = folder / "shop.config"
    path.write_text(text, encoding="utf-8")
    return make_plan(path, {"user": user, "item": item})


def ids(found: Plan) -> tuple[str, str]:
    return found.sides["user"].id, found.sides["item"].id


def test_the_towers_of_a_pair_name_the_ids(tmp_path: Path) -> None:
    assert ids(plan(easyrec("DSSM"), tmp_path, None, None)) == ("buyer", "ad")


def test_what_the_user_says_comes_first(tmp_path: Path) -> None:
    assert ids(plan(easyrec("DSSM"), tmp_path, "age", None)) == ("age", "ad")


def test_a_sampler_names_the_item(tmp_path: Path) -> None:
    text = easyrec("DSSM", data=SAMPLER).replace("id: 'ad'", "")
    assert ids(plan(text, tmp_path, "buyer", None)) == ("buyer", "ad")


def test_columns_called_so_are_the_ids(tmp_path: Path) -> None:
    text = easyrec().replace("'buyer'", "'user_id'").replace("'ad'", "'item_id'")
    assert ids(plan(text, tmp_path, None, None)) == ("user_id", "item_id")


@pytest.mark.parametrize(
    ("user", "item", "told"),
    [
        (None, "ad", "nothing says which column is the user's id; --user-id names one of clk,"),
        ("buyer", None, "nothing says which column is the item's id; --item-id names one of clk,"),
        ("nobody", "ad", "the user's id is 'nobody', which is no input_name"),
    ],
)
def test_an_id_that_nothing_names_is_asked_for(
    user: str | None, item: str | None, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=told):
        plan(easyrec(), tmp_path, user, item)


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("label_fields: 'clk'", "", "data_config", "name the column that says 1 clicked"),
        ("label_fields: 'clk'", "label_fields: 'buy'", "data_config.label_fields", "no input_name"),
        ("CSVInput", "OdpsRTPInput", "data_config.input_type", "give a column for each"),
        (
            "separator: '\\t'",
            "sample_weight: 'w'",
            "data_config.sample_weight",
            "no input_name",
        ),
        (
            "separator: '\\t'",
            "auto_expand_input_fields: true",
            "data_config.auto_expand_input_fields",
            "write name1, name2",
        ),
    ],
)
def test_samples_that_cannot_be_read_are_refused(
    old: str, new: str, place: str, told: str, tmp_path: Path
) -> None:
    ((found, remedy),) = refused(plan_of(easyrec().replace(old, new), tmp_path))
    assert found == place
    assert told in remedy


def test_only_the_first_label_counts(tmp_path: Path) -> None:
    text = easyrec().replace("label_fields: 'clk'", "label_fields: ['clk', 'price']")
    found = plan_of(text, tmp_path)
    assert found.dataset.label == "clk"
    (entry,) = [e for e in found.ledger.of("noted") if e.place == "data_config.label_fields"]
    assert entry.got == "'price'"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_dir: 'x'", "no model_config"),
        ("model_config { model_class: 'MIND' }", "got 'MIND', expected one of DropoutNet, DSSM"),
        ("model_config { model_class: 'DSSM' }", "no dssm, which holds the towers"),
        (TRAIN + DROPOUTNET, "shop.config: no data_config: it names the columns"),
    ],
)
def test_what_is_no_configuration_of_the_four_is_refused(
    text: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        plan_of(text, tmp_path)
    assert told in str(error.value)
