"""The columns of the samples: which are ids, label, weight and time, and how their file is read."""

from dataclasses import dataclass
from pathlib import Path

from export.contract.errors import ConfigError
from export.contract.side import SIDES, SideName
from training.easyrec.section import Section

PACKED = ("RTPInput", "RTPInputV2", "OdpsRTPInput", "OdpsRTPInputV2", "HiveRTPInput")
SAMPLERS = (
    "negative_sampler",
    "negative_sampler_v2",
    "hard_negative_sampler",
    "hard_negative_sampler_v2",
    "negative_sampler_in_memory",
)


@dataclass(frozen=True)
class Dataset:
    """What `data_config` says of the samples, and of the batches made of them.

    `columns` are those of the file, in order; `timestamp` says whether one is called so.
    """

    columns: tuple[str, ...]
    label: str
    weight: str | None
    separator: str
    has_header: bool
    is_quoted: bool
    batch: int
    epochs: int
    sampler: Section | None

    @property
    def has_time(self) -> bool:
        """Whether the samples say when they were."""
        return "timestamp" in self.columns


def read_dataset(root: Section, path: Path) -> Dataset:
    """Read `data_config`; `path` is the file's, for messages.

    Raises:
        ConfigError: There is none.

    """
    section = root.section("data_config", "DatasetConfig")
    if section is None:
        raise ConfigError(f"{path}: no data_config: it names the columns and the label")
    labels = section.texts("label_fields", "interactions.label")
    if not labels:
        section.lacks("label_fields", "name the column that says 1 clicked, 0 shown")
    if len(labels) > 1:
        section.note_others("label_fields", "only the first label is trained on, as in EasyRec")
    if section.flag("auto_expand_input_fields", "each field is written out"):
        section.refuse("auto_expand_input_fields", "write name1, name2, ... out, and remove it")
    type_ = section.text("input_type", "how --samples reads the file")
    if type_ in PACKED:
        section.refuse("input_type", "features packed into one field: give a column for each")
    fields = section.sections("input_fields", "Field")
    columns = tuple(one.text("input_name", "a column") for one in fields)
    weight = section.text("sample_weight", "interactions.weight")
    for name in ("label_fields", "sample_weight"):
        for value in {*labels[:1], weight} - {*columns, ""}:
            section.refuse(name, "no input_name of input_fields", value)
    return Dataset(
        columns=columns,
        label=labels[0] if labels else "",
        weight=weight or None,
        separator=section.text("separator", "how --samples reads the file", ","),
        has_header=section.flag("with_header", "how --samples reads the file"),
        is_quoted=type_ in ("CSVInputEx", "CSVInputV2"),
        batch=section.whole("batch_size", "training.batch", 32),
        epochs=section.whole("num_epochs", "training.epochs"),
        sampler=_sampler(section),
    )


def _sampler(section: Section) -> Section | None:
    found = [one for name in SAMPLERS for one in section.sections(name, "Sampler")]
    for other in found[1:]:
        other.refuse_all("a second sampler; keep one")
    return found[0] if found else None


def own_ids(
    said: dict[SideName, str | None],
    towers: dict[SideName, str],
    dataset: Dataset,
    path: Path,
) -> dict[SideName, str]:
    """Return the column of each side's id: as asked for, or as the file lets it be known.

    Args:
        said: What the user said, by side.
        towers: The `id` of each tower, "" where it names none.
        dataset: The columns, and the sampler, which may name both ids.
        path: Of the file, for messages.

    Raises:
        ConfigError: Nothing says which it is, or there is no such column.

    """
    return {side: _own_id(side, said[side], towers[side], dataset, path) for side in SIDES}


def _own_id(side: SideName, said: str | None, tower: str, dataset: Dataset, path: Path) -> str:
    sampled = ""
    if dataset.sampler is not None:
        sampled = dataset.sampler.text(f"{side}_id_field", f"the {side}'s id")
    plain = f"{side}_id" if f"{side}_id" in dataset.columns else ""
    found = said or tower or sampled or plain
    if found in dataset.columns:
        return found
    columns = ", ".join(dataset.columns)
    if not found:
        raise ConfigError(
            f"{path}: nothing says which column is the {side}'s id; --{side}-id names one of "
            f"{columns}"
        )
    raise ConfigError(
        f"{path}: the {side}'s id is {found!r}, which is no input_name; --{side}-id names one of "
        f"{columns}"
    )
