"""A small shop as EasyRec has it: a configuration in its syntax, and its flat samples."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from training.easyrec.plan import Plan, make_plan

COLUMNS = {
    "clk": "INT32",
    "buyer": "STRING",
    "ad": "STRING",
    "age": "STRING",
    "city": "STRING",
    "seen": "STRING",
    "topics": "STRING",
    "topic_scores": "STRING",
    "look": "STRING",
    "price": "FLOAT",
    "clicks": "FLOAT",
}
FEATURES = """
feature_configs { input_names: 'buyer' feature_type: IdFeature embedding_dim: 8
                  hash_bucket_size: 500 }
feature_configs { input_names: 'ad' feature_type: IdFeature embedding_dim: 8
                  hash_bucket_size: 500 embedding_name: 'ads' }
feature_configs { input_names: 'age' feature_type: IdFeature embedding_dim: 8 num_buckets: 9 }
feature_configs { input_names: 'city' feature_type: IdFeature embedding_dim: 8
                  vocab_list: ['c0', 'c1'] vocab_list: 'c2' }
feature_configs { feature_name: 'age_city' input_names: ['age', 'city'] embedding_dim: 4
                  feature_type: ComboFeature hash_bucket_size: 50 }
feature_configs { input_names: 'seen' feature_type: SequenceFeature separator: '|'
                  embedding_dim: 8 hash_bucket_size: 500 embedding_name: 'ads' max_seq_len: 6 }
feature_configs { input_names: 'topics' input_names: 'topic_scores' feature_type: TagFeature
                  separator: '|' hash_bucket_size: 40 embedding_dim: 8 }
feature_configs { input_names: 'look' feature_type: RawFeature separator: '|' raw_input_dim: 3
                  embedding_dim: 4 }
feature_configs { input_names: 'price' feature_type: RawFeature boundaries: [2, 5, 10.5]
                  embedding_dim: 4 }
feature_configs { input_names: 'clicks' feature_type: RawFeature normalizer_fn: 'tf.math.log1p' }
"""
DROPOUTNET = """
model_config: {
  model_class: "DropoutNet"
  feature_groups: { group_name: 'user_content' feature_names: ['buyer', 'age', 'city', 'age_city']
                    wide_deep: DEEP }
  feature_groups: { group_name: 'user_preference' feature_names: 'seen' }
  feature_groups: { group_name: 'item_content' feature_names: ['ad', 'topics', 'look', 'price'] }
  feature_groups: { group_name: 'item_preference' feature_names: 'clicks' }
  losses { loss_type: CLASSIFICATION }
  losses { loss_type: SOFTMAX_CROSS_ENTROPY_WITH_NEGATIVE_MINING weight: 0.5 }
  dropoutnet {
    user_content { hidden_units: [16] }
    user_preference { hidden_units: 24 }
    item_content { hidden_units: [16] }
    item_preference { hidden_units: [0] }
    user_tower { hidden_units: [16, 8] use_bn: false }
    item_tower { hidden_units: [16, 8] use_bn: false }
    user_dropout_rate: 0.25
    softmax_loss { num_negative_samples: 3 margin: 0.1 gamma: 12 coefficient_of_support_vector: 2 }
    l2_regularization: 1e-06
  }
  embedding_regularization: 5e-5
}
"""
PAIR = """
model_config: {
  model_class: "%(class)s"
  feature_groups: { group_name: 'user' feature_names: ['buyer', 'age', 'city', 'seen'] }
  feature_groups: { group_name: 'item' feature_names: ['ad', 'topics', 'look', 'price', 'clicks'] }
  %(groups)s
  %(name)s {
    user_tower { id: 'buyer' %(senet)s dnn { hidden_units: [16, 8] } }
    item_tower { id: 'ad' %(senet)s dnn { hidden_units: [16, 8] } }
    simi_func: COSINE temperature: 0.05 l2_regularization: 1e-6 %(options)s
  }
  loss_type: SOFTMAX_CROSS_ENTROPY
}
"""
AUGMENTED = """
  feature_groups: { group_name: 'user_id_augment' feature_names: 'buyer' }
  feature_groups: { group_name: 'item_id_augment' feature_names: 'ad' }
"""
TRAIN = """
train_input_path: "samples.csv"  # a comment
model_dir: 'experiments/shop'
train_config {
  optimizer_config: { adam_optimizer: { learning_rate: { exponential_decay_learning_rate {
    initial_learning_rate: 0.003 decay_steps: 1000 burnin_steps: 5 } } } }
  num_steps: 50
  log_step_count_steps: 100
}
eval_config { metrics_set: { auc {} } }
export_config {}
"""


COMPUTED = """
feature_configs { feature_name: 'age_city_seen' input_names: ['age', 'city', 'seen']
                  feature_type: ComboFeature hash_bucket_size: 50 embedding_dim: 4
                  combo_input_seps: ['', '', '|'] combo_join_sep: '&' }
feature_configs { feature_name: 'age_city_seat' input_names: ['age', 'city', 'seat']
                  feature_type: ComboFeature hash_bucket_size: 50 embedding_dim: 4 }
feature_configs { feature_name: 'here' input_names: ['city', 'by_city'] separator: ';'
                  feature_type: LookupFeature kv_separator: '=' hash_bucket_size: 20
                  embedding_dim: 4 lookup_max_sel_elem_num: 3 }
feature_configs { feature_name: 'grown' input_names: 'age' feature_type: ExprFeature
                  expression: '(age >= 4) & (age / 2 < 4)' }
feature_configs { input_names: 'seat' feature_type: IdFeature hash_bucket_size: 9
                  embedding_dim: 4 }
"""
NAMES = ("seat", "age_city_seen", "age_city_seat", "here", "grown")


def data_config(more: str = "") -> str:
    """Return the section of the data, with more fields."""
    fields = "\n".join(
        f"  input_fields {{ input_name: '{name}' input_type: {type_} }}"
        for name, type_ in COLUMNS.items()
    )
    return (
        f"data_config {{\n{fields}\n  label_fields: 'clk' batch_size: 64 input_type: CSVInput "
        f"separator: '\\t' {more} }}\n"
    )


def model_config(kind: str, options: str = "") -> str:
    """Return the section of one of the four models."""
    if kind == "DropoutNet":
        return DROPOUTNET
    senet = "senet { num_squeeze_group: 2 reduction_ratio: 3 }" if kind == "DSSM_SENet" else ""
    groups = AUGMENTED if kind == "DAT" else ""
    parts = {"class": kind, "name": kind.lower(), "senet": senet, "groups": groups}
    return PAIR % {**parts, "options": options}


def easyrec(kind: str = "DropoutNet", *, data: str = "", options: str = "") -> str:
    """Return a whole configuration."""
    return TRAIN + data_config(data) + FEATURES + model_config(kind, options)


def with_computed(text: str) -> str:
    """Return a configuration of DropoutNet with what is worked out of columns of the user."""
    names = ", ".join(f"'{name}'" for name in NAMES)
    text = text.replace("'age_city']", f"'age_city', {names}]")
    fields = ("seat", "by_city")
    more = "".join(f" input_fields {{ input_name: '{n}' input_type: STRING }}" for n in fields)
    return COMPUTED + text.replace("label_fields: 'clk'", f"{more} label_fields: 'clk'")


def write_samples(path: Path, *, rows: int = 900, seed: int = 1, computed: bool = False) -> Path:
    """Write flat samples, parted by tabs and without a header; cold users and items have few.

    `computed` says whether the columns that `with_computed` adds are there.
    """
    rng = np.random.default_rng(seed)
    user, item = rng.integers(60, size=rows), rng.integers(50, size=rows)
    topics = [[f"t{n % 7}", f"t{(n + 3) % 5}"] for n in range(50)]
    looks = rng.normal(size=(50, 3)).round(3)
    table = {
        "clk": (rng.random(rows) < np.where(user % 7 == item % 7, 0.8, 0.3)).astype(int),
        "buyer": [f"b{n}" for n in user],
        "ad": [f"a{n}" for n in item],
        "age": [str(n % 9) for n in user],
        "city": [f"c{n % 4}" if n % 10 else "" for n in user],
        "seen": ["|".join(f"a{n}" for n in rng.integers(50, size=3)) for _ in range(rows)],
        "topics": ["|".join(topics[n]) for n in item],
        "topic_scores": ["0.5|2" for _ in item],
        "look": ["|".join(map(str, looks[n])) for n in item],
        "price": [f"{n / 4}" for n in item],
        "clicks": rng.integers(30, size=rows),
        "seat": [f"s{n % 3}" for n in user],
        "by_city": [f"c0={n % 5};c1={n % 3};c1=x" for n in user],
    }
    if not computed:
        table = {name: table[name] for name in COLUMNS}
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    pyarrow.csv.write_csv(pa.table(table), path, options)
    return path


def plan_of(text: str, folder: Path, *, rows: int | None = None) -> Plan:
    """Read a configuration whose ids are `buyer` and `ad`."""
    path = folder / "shop.config"
    path.write_text(text, encoding="utf-8")
    return make_plan(path, {"user": "buyer", "item": "ad"}, rows)


def refused(plan: Plan) -> list[tuple[str, str]]:
    """Return the place and the remedy of every refused field."""
    return [(entry.place, entry.says) for entry in plan.ledger.of("refused")]
