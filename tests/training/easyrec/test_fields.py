from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.easyrec.made import COLUMNS, data_config, easyrec, plan_of, refused
from training.easyrec.features import TYPES
from training.easyrec.fields import NOTED, REFUSED, UNKNOWN
from training.easyrec.text import Field, Message, parse_text
from training.easyrec.towers import KINDS

READ = {"feature_configs", "model_config", "data_config"}


def leaves(message: Message, above: tuple[Field, ...] = ()) -> Iterator[tuple[Field, ...]]:
    """Give every value of a file with the fields that it stands in; an empty message is one."""
    for one in message.fields:
        if isinstance(one.value, Message) and one.value.fields:
            yield from leaves(one.value, (*above, one))
        else:
            yield (*above, one)


def insertions(text: str) -> Iterator[str]:
    """Give the text with a field that nobody knows behind every opening brace, and at the top."""
    yield f"zz_unknown: 1\n{text}"
    for at, sign in enumerate(text):
        if sign == "{":
            yield f"{text[: at + 1]} zz_unknown: 1 {text[at + 1 :]}"


FULL = "shuffle: true num_epochs: 7 with_header: false sample_weight: 'clicks'"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_file_has_one_verdict(kind: str, tmp_path: Path) -> None:
    plan = plan_of(easyrec(kind, data=FULL, options="zz_unknown: 1"), tmp_path)
    entries = plan.ledger.entries
    silent = [
        one[-1].name for one in leaves(plan.root.message) if not any(f in entries for f in one)
    ]
    assert silent == []
    assert sum(len(plan.ledger.of(v)) for v in ("mapped", "noted", "refused")) == len(entries)


def test_a_field_that_nobody_knows_is_passed_over_nowhere(tmp_path: Path) -> None:
    texts = list(insertions(easyrec()))
    assert len(texts) > 40
    for text in texts:
        plan = plan_of(text, tmp_path)
        (path,) = [one for one in leaves(plan.root.message) if one[-1].name == "zz_unknown"]
        verdicts = {plan.ledger.entries[f].verdict for f in path if f in plan.ledger.entries}
        assert verdicts in ({"refused"}, {"noted"}), text
        if "noted" not in verdicts:
            assert any("zz_unknown" in place for place, _ in refused(plan))


FEATURE_FIELDS = {
    "embedding_name": "'t'",
    "embedding_dim": "4",
    "hash_bucket_size": "9",
    "num_buckets": "9",
    "boundaries": "1",
    "separator": "','",
    "kv_separator": "':'",
    "seq_multi_sep": "';'",
    "max_seq_len": "5",
    "vocab_file": "'words.txt'",
    "vocab_list": "'a'",
    "shared_names": "'age'",
    "lookup_max_sel_elem_num": "5",
    "max_partitions": "2",
    "combiner": "'mean'",
    "initializer": "{ constant_initializer {} }",
    "precision": "3",
    "min_val": "1",
    "max_val": "2",
    "normalizer_fn": "'tf.math.log1p'",
    "raw_input_dim": "3",
    "sequence_combiner": "{ attention {} }",
    "sub_feature_type": "IdFeature",
    "sequence_length": "3",
    "expression": "'age > 1'",
    "ev_params": "{ filter_freq: 3 }",
    "combo_join_sep": "'&'",
    "combo_input_seps": "['', ';']",
}


@pytest.mark.parametrize("name", FEATURE_FIELDS)
@pytest.mark.parametrize("type_", [*TYPES[:-1]])
def test_every_field_of_a_feature_is_mapped_noted_or_refused_with_a_remedy(
    type_: str, name: str, tmp_path: Path
) -> None:
    own = {"LookupFeature": {"kv_separator": "'='"}, "ExprFeature": {"expression": "'age'"}}
    fields = {**own.get(type_, {}), name: FEATURE_FIELDS[name]}
    two = type_ in ("ComboFeature", "LookupFeature", "TagFeature")
    said = " ".join(f"{one}: {value}" for one, value in fields.items())
    text = easyrec().replace("'age_city']", "'age_city', 'x']")
    feature = (
        f"feature_configs {{ feature_name: 'x' input_names: {['age', 'city'] if two else 'age'!r}"
        f" feature_type: {type_} {said} }}\n"
    )
    plan = plan_of(feature + text, tmp_path)
    entries = [e for e in plan.ledger.entries.values() if e.place == f"feature_configs.{name}"]
    ours = [e for e in entries if e.line == 1] or [
        e for e in plan.ledger.entries.values() if e.line == 1 and name in e.place
    ]
    assert ours
    for entry in ours:
        assert not entry.says.startswith(UNKNOWN)
        if entry.verdict == "refused":
            assert len(entry.says) > 20


@pytest.mark.parametrize(
    ("type_", "name"), [(type_, name) for type_, fields in REFUSED.items() for name in fields]
)
def test_what_is_refused_comes_with_a_remedy(type_: str, name: str) -> None:
    assert len(REFUSED[type_][name]) > 20
    assert name not in NOTED.get(type_, {})


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("model_dir: 'experiments/shop'", "fg_json_path: 'fg.json'", "fg_json_path", "load it"),
        ("num_steps: 50", "freeze_gradient: 'x'", "train_config.freeze_gradient", "remove it"),
        (
            "input_name: 'clk'",
            "input_name: 'clk' ignore_val: '-1'",
            "data_config.input_fields.ignore_val",
            "leave those cells empty",
        ),
        (
            "label_fields: 'clk'",
            "label_fields: 'clk' label_sep: ','",
            "data_config.label_sep",
            "a label is 0 or 1",
        ),
        (
            "feature_names: 'seen'",
            "sequence_features { group_name: 'x' }",
            "model_config.feature_groups.sequence_features",
            "its mean is taken",
        ),
        (
            'model_class: "DropoutNet"',
            'model_class: "DropoutNet" kd { pred_name: "p" }',
            "model_config.kd",
            "remove it",
        ),
        (
            "user_tower { hidden_units: [16, 8]",
            "user_tower { id: 'buyer' hidden_units: [16, 8]",
            "model_config.dropoutnet.user_tower.id",
            "an old form",
        ),
        (
            "user_dropout_rate: 0.25",
            "num_negative_mining: 4",
            "model_config.dropoutnet.num_negative_mining",
            "softmax_loss { num_negative_samples",
        ),
    ],
)
def test_what_has_no_like_here_is_refused(
    old: str, new: str, place: str, told: str, tmp_path: Path
) -> None:
    assert old in easyrec()
    ((found, remedy),) = refused(plan_of(easyrec().replace(old, new), tmp_path))
    assert found == place
    assert told in remedy


def test_the_text_of_the_tests_is_whole() -> None:
    names = {one.name for one in parse_text(easyrec(), "a.config").fields}
    assert names >= READ
    assert all(f"'{name}'" in data_config() for name in COLUMNS)


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ("hash_bucket_size", "hash_bucket_sise", "feature_configs"),
        ("embedding_regularization", "embeding_regularization", "model_config"),
        ("activation", "activaton", "model_config.dropoutnet.user_tower"),
        ("num_steps", "nun_steps", "train_config"),
    ],
)
def test_a_misspelt_field_is_told_with_the_nearest_that_is_known(
    right: str, wrong: str, place: str, tmp_path: Path
) -> None:
    layers = "user_tower { hidden_units: [16, 8]"
    text = easyrec().replace(layers, f"{layers} activation: 'relu'")
    told = dict(refused(plan_of(text.replace(right, wrong), tmp_path)))
    assert told[f"{place}.{wrong}"] == f"{UNKNOWN}; is it {right}?"


def test_a_field_that_is_like_none_is_told_alone(tmp_path: Path) -> None:
    text = easyrec().replace("num_steps", "zzz")
    assert dict(refused(plan_of(text, tmp_path)))["train_config.zzz"] == UNKNOWN
