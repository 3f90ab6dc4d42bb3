from pathlib import Path

import pytest

from tests.training.easyrec.made import FEATURES, data_config, easyrec, plan_of, refused
from training.easyrec.plan import Plan


def groups(plan: Plan, side: str) -> dict[str, list[str]]:
    found = plan.sides[side].groups  # type: ignore[index]
    return {group: list(members) for group, members in found.items()}


def test_the_four_groups_of_dropoutnet_are_ours(tmp_path: Path) -> None:
    plan = plan_of(easyrec(), tmp_path)
    assert refused(plan) == []
    assert groups(plan, "user") == {
        "content": ["age", "city", "age_city"],
        "preference": ["own_id", "seen"],
    }
    assert groups(plan, "item") == {
        "content": ["topics", "look", "price"],
        "preference": ["own_id", "clicks"],
    }


@pytest.mark.parametrize("kind", ["DSSM", "DSSM_SENet", "DAT"])
def test_one_group_a_side_is_content_but_for_ids_and_behaviour(kind: str, tmp_path: Path) -> None:
    plan = plan_of(easyrec(kind), tmp_path)
    assert refused(plan) == []
    assert groups(plan, "user") == {"content": ["age", "city"], "preference": ["own_id", "seen"]}
    assert groups(plan, "item") == {
        "content": ["topics", "look", "price", "clicks"],
        "preference": ["own_id"],
    }


EXPR = "feature_configs {{ feature_name: 'x' input_names: {inputs} feature_type: {kind} }}\n"


@pytest.mark.parametrize(
    ("kind", "inputs", "told"),
    [
        ("ExprFeature expression: 'age + price'", "['age', 'price']", "'price', which is the item"),
        ("LookupFeature kv_separator: ':'", "['ad', 'city']", "'ad', which is the item's"),
        ("ComboFeature hash_bucket_size: 9", "['city', 'topics']", "'topics', which is the item"),
        ("ComboFeature hash_bucket_size: 9", "['buyer', 'age']", "made of the user's id"),
    ],
)
def test_what_is_made_of_both_sides_or_of_an_id_is_refused(
    kind: str, inputs: str, told: str, tmp_path: Path
) -> None:
    text = easyrec().replace("'age_city']", "'age_city', 'x']")
    plan = plan_of(EXPR.format(kind=kind, inputs=inputs) + text, tmp_path)
    ((place, remedy),) = refused(plan)
    assert place == "model_config.feature_groups.feature_names"
    assert told in remedy
    assert remedy.endswith("remove it here")


def test_an_own_id_is_an_identity_and_never_content(tmp_path: Path) -> None:
    plan = plan_of(easyrec(), tmp_path)
    own = plan.sides["item"].groups["preference"]["own_id"]
    assert own.options["aggregate"] == "identity"
    assert "untrained vector" in own.why
    assert "own_id" not in plan.sides["item"].columns


def test_ids_are_learned_and_so_is_what_shares_their_table(tmp_path: Path) -> None:
    plan = plan_of(easyrec(), tmp_path)
    for side, name in (("user", "own_id"), ("user", "seen"), ("item", "own_id")):
        options = plan.sides[side].groups["preference"][name].options  # type: ignore[index]
        assert "buckets" not in options
    noted = [e for e in plan.ledger.of("noted") if e.place == "feature_configs.hash_bucket_size"]
    assert len(noted) == 3
    assert "another's row" in noted[0].says


def test_dat_needs_ids_as_wide_as_its_vectors(tmp_path: Path) -> None:
    text = easyrec("DAT").replace("[16, 8]", "[16, 4]")
    assert any("give it 4" in told for _, told in refused(plan_of(text, tmp_path)))
    text = easyrec("DAT").replace("'item_id_augment' feature_names: 'ad'", "'item_id_augment'")
    text = text.replace("feature_names: ['ad', ", "feature_names: [")
    assert any("has to hold 'ad'" in told for _, told in refused(plan_of(text, tmp_path)))


def test_a_shared_embedding_is_a_shared_table(tmp_path: Path) -> None:
    plan = plan_of(easyrec(), tmp_path)
    own = plan.sides["item"].groups["preference"]["own_id"].options
    seen = plan.sides["user"].groups["preference"]["seen"].options
    assert own["table"] == seen["table"] == "ads"


def test_an_embedding_that_nobody_shares_has_no_table(tmp_path: Path) -> None:
    text = easyrec().replace("embedding_name: 'ads' max_seq_len", "max_seq_len")
    own = plan_of(text, tmp_path).sides["item"].groups["preference"]["own_id"].options
    assert "table" not in own


def test_shared_names_are_features_of_the_same_options(tmp_path: Path) -> None:
    text = easyrec().replace("num_buckets: 9 }", "num_buckets: 9 shared_names: 'clicks' }")
    text = text.replace("feature_configs { input_names: 'clicks'", "zz { input_names: 'clicks'")
    plan = plan_of(text, tmp_path)
    found = plan.sides["item"].groups["preference"]["clicks"].options
    assert found == plan.sides["user"].groups["content"]["age"].options


def test_a_feature_in_no_group_is_noted(tmp_path: Path) -> None:
    plan = plan_of(easyrec().replace(", 'price'", ""), tmp_path)
    assert refused(plan) == []
    assert any(
        entry.place == "feature_configs" and "in no group" in entry.says
        for entry in plan.ledger.of("noted")
    )
    assert "price" not in plan.sides["item"].columns


def test_a_taken_name_gets_another(tmp_path: Path) -> None:
    text = easyrec().replace("'price'", "'popularity'")
    plan = plan_of(text, tmp_path)
    assert refused(plan) == []
    column = plan.sides["item"].columns["popularity_feature"]
    assert column.inputs == ("popularity",)


@pytest.mark.parametrize(
    ("old", "new", "value", "told"),
    [
        ("feature_names: 'seen'", "feature_names: ['seen', 'nope']", "'nope'", "give it a feature"),
        ("feature_names: 'seen'", "feature_names: ['seen', 'age']", "'age'", "in content too"),
        ("feature_names: 'seen'", "feature_names: ['seen', 'ad']", "'ad'", "the id of the item"),
        ("feature_names: 'seen'", "feature_names: 'clicks'", "'clicks'", "of both sides"),
        ("'user_preference'", "'user_taste'", "'user_taste'", "expected user_content or"),
        ("wide_deep: DEEP", "wide_deep: WIDE", "'WIDE'", "say DEEP"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    old: str, new: str, value: str, told: str, tmp_path: Path
) -> None:
    (entry,) = plan_of(easyrec().replace(old, new), tmp_path).ledger.of("refused")
    assert entry.place.startswith("model_config.feature_groups.")
    assert entry.got == value
    assert told in entry.says


def test_a_second_feature_of_a_name_is_refused(tmp_path: Path) -> None:
    twice = FEATURES.replace("feature_name: 'age_city'", "feature_name: 'age'")
    plan = plan_of(easyrec().replace(FEATURES, twice), tmp_path)
    assert any("a second feature 'age'" in told for _, told in refused(plan))


def test_features_in_one_message_are_read_alike(tmp_path: Path) -> None:
    inner = FEATURES.replace("feature_configs", "features")
    plan = plan_of(easyrec().replace(FEATURES, f"feature_config {{ {inner} }}"), tmp_path)
    assert refused(plan) == []
    direct = plan_of(easyrec(), tmp_path)
    assert groups(plan, "user") == groups(direct, "user")
    assert data_config() in easyrec()
