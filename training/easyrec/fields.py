"""The fields of EasyRec that need no reading: what happens without them, or why they are refused.

By message of EasyRec's schema. What no reader reads and this page does not hold is refused as
unknown, so that nothing is passed over in silence.
"""

from collections.abc import Set
from difflib import get_close_matches

from training.easyrec.section import Section
from training.easyrec.text import Message, Value

MACHINE = "how EasyRec runs; there is nothing like it to set here"
TABLES = "the three tables of the data folder are read instead; --samples makes them"
MEASURED = "firstsight evaluate reports recall, NDCG, MRR, coverage and GAUC, warm and cold apart"
EXPORTED = "firstsight export writes a bundle; training keeps the checkpoint best in validation"
DYNAMIC = "a learned vocabulary holds the words of the train rows"
DECAY = "not the same number with AdamW; training.weight_decay and embedding_decay are there"

NOTED: dict[str, dict[str, str]] = {
    "EasyRecConfig": {
        **dict.fromkeys(
            (
                "train_input_path",
                "kafka_train_input",
                "datahub_train_input",
                "hive_train_input",
                "binary_train_input",
                "parquet_train_input",
            ),
            TABLES,
        ),
        **dict.fromkeys(
            (
                "eval_input_path",
                "kafka_eval_input",
                "datahub_eval_input",
                "hive_eval_input",
                "binary_eval_input",
                "parquet_eval_input",
            ),
            "split holds test rows out; for given ones add a column split (train, test) to the "
            "interactions and say split: {kind: given, column: split}",
        ),
        "model_dir": "firstsight train --out names the run folder",
        "export_config": EXPORTED,
    },
    "EvalConfig": dict.fromkeys(
        (
            "num_examples",
            "eval_interval_secs",
            "max_evals",
            "save_graph",
            "eval_online",
            "metrics_set",
        ),
        MEASURED,
    ),
    "TrainConfig": {
        **dict.fromkeys(
            (
                "sync_replicas",
                "sparse_accumulator_type",
                "startup_delay_steps",
                "save_summary_steps",
                "log_step_count_steps",
                "is_profiling",
                "train_distribute",
                "num_gpus_per_worker",
                "summary_model_vars",
                "protocol",
                "inter_op_parallelism_threads",
                "intra_op_parallelism_threads",
                "tensor_fuse",
                "write_graph",
                "incr_save_config",
                "enable_oss_stop_signal",
                "dead_line",
            ),
            MACHINE,
        ),
        **dict.fromkeys(
            ("save_checkpoints_steps", "save_checkpoints_secs", "keep_checkpoint_max"),
            "a checkpoint is kept after each epoch",
        ),
        **dict.fromkeys(
            (
                "fine_tune_checkpoint",
                "fine_tune_ckpt_var_map",
                "force_restore_shape_compatible",
            ),
            "a checkpoint of TensorFlow cannot be read; training begins anew",
        ),
    },
    "Optimizer": {
        "use_moving_average": "no average of the weights is kept",
        "moving_average_decay": "no average of the weights is kept",
        "embedding_learning_rate_multiplier": "one learning rate for networks and tables",
    },
    "AdamOptimizer": dict.fromkeys(("beta1", "beta2"), "AdamW's own .9 and .999"),
    "DatasetConfig": {
        **dict.fromkeys(
            (
                "shuffle",
                "shuffle_buffer_size",
                "prefetch_size",
                "shard",
                "file_shard",
                "num_parallel_calls",
                "pai_worker_queue",
                "pai_worker_slice_num",
                "chief_redundant",
                "data_compression_type",
                "n_data_batch_tfrecord",
                "eval_batch_size",
                "drop_remainder",
            ),
            "tables are held in memory, and every epoch shuffles all rows",
        ),
        **dict.fromkeys(("selected_cols", "selected_col_types", "feature_fields"), TABLES),
        "rtp_separator": "features packed into one field are not unpacked; give columns",
        "ignore_error": "a cell that cannot be read stops training, with its row",
    },
    "Field": {
        "input_type": "the kind of a feature says how its column is read",
        "default_val": "an empty cell is missing, which has a learned value of its own",
        "input_dim": "the kind of a feature says how its column is read",
        "input_shape": "the kind of a feature says how its column is read",
    },
    "Sampler": {
        **dict.fromkeys(
            (
                "input_path",
                "user_input_path",
                "item_input_path",
                "pos_edge_input_path",
                "attr_fields",
                "attr_delimiter",
                "field_delimiter",
            ),
            "negatives are drawn from the table of items, each as likely as any other",
        ),
        "num_eval_sample": MEASURED,
    },
    "FeatureConfigV2": {"embedding_on_cpu": MACHINE},
    "FeatureConfig": {
        "max_partitions": MACHINE,
        "initializer": "tables begin small and random",
        "precision": "a number is never written out as text here",
        "sequence_length": "sequences are as long as they are, up to max_length",
        "lookup_max_sel_elem_num": "what a key has is taken whole",
        "use_embedding_variable": DYNAMIC,
    },
    "EVParams": dict.fromkeys(
        ("filter_freq", "steps_to_live", "use_cache", "init_capacity", "max_capacity"), DYNAMIC
    ),
    "FeatureGroupConfig": {"negative_sampler": "negatives says where candidates come from"},
    "EasyRecModel": {
        "model_name": "a name only",
        "ev_params": DYNAMIC,
        "restore_filters": "a checkpoint of TensorFlow cannot be read; training begins anew",
        "embedding_regularization": DECAY,
        "label_name": "label_fields says which label is trained on",
    },
    "DropoutNet": {"l2_regularization": DECAY},
    "DSSM": {"l2_regularization": DECAY},
    "LearningRate": dict.fromkeys(
        (
            "decay_steps",
            "decay_factor",
            "staircase",
            "min_learning_rate",
            "burnin_learning_rate",
            "schedule",
            "total_steps",
            "warmup_learning_rate",
            "hold_base_rate_steps",
            "power",
            "end_learning_rate",
            "hidden_size",
            "step_scaling_rate",
        ),
        "the rate falls as half a cosine over all steps",
    ),
    "SENet": dict.fromkeys(
        ("use_skip_connection", "use_output_layer_norm"), "DSSM_SENet reads neither in EasyRec"
    ),
}

REFUSED: dict[str, dict[str, str]] = {
    "EasyRecConfig": {
        "fg_json_path": "the features are in that file: load it with EasyRec, which writes them "
        "into the configuration, and import what it wrote"
    },
    "TrainConfig": {
        "freeze_gradient": "no part of a model can be held fixed here: remove it",
    },
    "DatasetConfig": {
        **dict.fromkeys(
            ("label_sep", "label_dim", "extra_label_func"),
            "a label is 0 or 1: write a column that holds it and name that in label_fields",
        ),
    },
    "Field": {
        **dict.fromkeys(
            ("user_define_fn", "user_define_fn_path", "user_define_fn_res_type"),
            "functions of yours are not run: write a column that holds the result",
        ),
        "ignore_val": "no value stands for missing here: leave those cells empty",
    },
    "FeatureConfig": {
        "seq_multi_sep": "a sequence of lists is not read: give one word a step, or a TagFeature",
        "normalizer": "not known: write a column that holds the result",
    },
    "DropoutNet": {
        "num_negative_mining": "an old field: write softmax_loss { num_negative_samples: ... }",
    },
    "DNN": dict.fromkeys(
        ("id", "dnn"), "an old form: hidden_units stand in the network itself, and there is no id"
    ),
    "FeatureGroupConfig": {
        "sequence_features": "target attention would let the user's tower see the item, which no "
        "two-tower recall can serve: put the sequence into feature_names, where its mean is taken",
    },
    "EasyRecModel": {
        "seq_att_groups": "target attention would let the user's tower see the item: put the "
        "sequence into feature_names, where its mean is taken",
        "kd": "no teacher's column is read: remove it",
        "variational_dropout": "features are not selected in training: remove it, and drop those "
        "it found useless",
        "backbone": "layers of your own are not read: use dropoutnet, dssm, dssm_senet or dat",
        "model_params": "layers of your own are not read: use dropoutnet, dssm, dssm_senet or dat",
    },
}
UNKNOWN = "no field that is known here"


def finish(section: Section) -> None:
    """Give every field that no reader read its verdict, below opened messages too."""
    for one in section.message.fields:
        opened = section.opened.get(one)
        if opened is not None and opened.message.fields:
            if not opened.is_settled:
                finish(opened)
            continue
        if one in section.ledger.entries:
            continue
        place = f"{section.place}.{one.name}" if section.place else one.name
        notes, refusals = NOTED.get(section.type, {}), REFUSED.get(section.type, {})
        noted, refused = notes.get(one.name), refusals.get(one.name)
        if opened is not None or (refused and _is_empty(one.value)):
            noted = "it is empty"
        if noted is not None:
            section.ledger.enter(place, one, "noted", noted)
        else:
            known = section.asked | notes.keys() | refusals.keys()
            section.ledger.enter(place, one, "refused", refused or _unknown(one.name, known))


def _unknown(name: str, known: Set[str]) -> str:
    nearest = get_close_matches(name, sorted(known - {name}), n=1)
    return f"{UNKNOWN}; is it {nearest[0]}?" if nearest else UNKNOWN


def _is_empty(value: Value) -> bool:
    return isinstance(value, Message) and not value.fields
