"""Configurations that cannot be what was meant: each stops before training, in one line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from examples.synthetic.generate import generate
from firstsight import MISTAKE, run
from tests.once import once
from tests.training.conftest import world_config

Output = pytest.CaptureFixture[str]
NO_WINDOW = "item.preference.clicks_7d.window=null"
CLICKS, TIMELESS = "data.interactions=clicks.parquet", "data.interactions=timeless.parquet"
LOST = "{users: lost.parquet, items: lost.parquet}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a log of clicks, one without times, and items with their id."""

    def make(folder: Path) -> None:
        generate(folder, users=60, items=50, exposures=10, seed=1)
        log = pq.read_table(folder / "interactions.parquet")
        pq.write_table(log.filter(pc.equal(log["label"], 1)), folder / "clicks.parquet")
        pq.write_table(log.drop_columns(["timestamp"]), folder / "timeless.parquet")
        items = pq.read_table(folder / "items.parquet")
        pq.write_table(items.append_column("own", items["item_id"]), folder / "with_id.parquet")

    return once(tmp_path_factory, "bad_configs", make)


def written(data: Path, folder: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> str:
    """Return the path of a configuration that is good until it is changed."""
    raw = world_config(data)
    if change is not None:
        change(raw)
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return str(path)


def told(arguments: list[str], capsys: Output) -> str:
    """Run a command that is the user's mistake; return its one line."""
    assert run(arguments) == MISTAKE
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"firstsight: [^\n]+\n", said.err)
    return said.err


BAD: dict[str, tuple[list[str], str, str]] = {  # what is set, the key, the remedy
    "an option of a loss misspelt": (
        ["losses.in_batch_softmax.temprature=.05"],
        "losses.0.in_batch_softmax.temprature: unknown key",
        "the nearest is 'temperature'",
    ),
    "an option of a tower misspelt": (
        ["tower.hiden=[8]"],
        "tower.additive.hiden: unknown key",
        "the nearest is 'hidden'",
    ),
    "an option of training misspelt": (
        ["training.epoch=3"],
        "training.epoch: unknown key",
        "the nearest is 'epochs'",
    ),
    "an option of a feature misspelt": (
        ["user.content.region.min_cout=3"],
        "user.content.region.category.min_cout: unknown key",
        "the nearest is 'min_count'",
    ),
    "an option of a statistic misspelt": (
        ["item.preference.clicks_7d.windw=3d"],
        "item.preference.clicks_7d.number.statistic.count.windw: unknown key",
        "the nearest is 'window'",
    ),
    "a key that is like none": (
        ["training.zzz=3"],
        "training.zzz: unknown key",
        "docs/training.md names those there are",
    ),
    "a loss misspelt": (
        ["losses=[{kind: in_batch_sofmax}]"],
        "losses.0: Input tag 'in_batch_sofmax' found using 'kind'",
        "the nearest is 'in_batch_softmax'",
    ),
    "an aggregate misspelt": (
        ["user.preference.x={kind: number, aggregate: cuont}"],
        "user.preference.x.number.statistic: Input tag 'cuont' found using 'aggregate'",
        "the nearest is 'count'",
    ),
    "no loss": (["losses=[]"], "losses: ", "should have at least 1 item"),
    "a group that is null": (
        ["user.preference=null"],
        "user.preference: expected keys and values",
        "leave the key out where there are none",
    ),
    "a side that is null": (["user=null"], "user: expected keys and values", "leave the key out"),
    "a loss of labels without exposures": (
        ["losses=[{kind: pointwise}]", CLICKS],
        "losses.pointwise: needs train rows that were shown and not clicked (label 0)",
        "log them, or leave it out",
    ),
    "a loss of pairs without exposures": (
        ["losses=[{kind: in_batch_softmax}, {kind: pairwise}]", CLICKS],
        "losses.pairwise: needs train rows that were shown and not clicked (label 0)",
        "log them, or leave it out",
    ),
    "hard negatives without exposures": (
        ["negatives=[{kind: in_batch}, {kind: hard}]", CLICKS],
        "negatives.hard: no train row was shown and not clicked (label 0)",
        "log these, or leave it out",
    ),
    "rolled exposures without exposures": (
        ["negatives=[{kind: roll, exposures: true}]", CLICKS],
        "negatives.roll: needs train rows that were shown and not clicked (label 0)",
        "log them, or leave it out",
    ),
    "a ranker without exposures": (
        ["ranker={kind: din}", CLICKS],
        "ranker: needs train rows that were clicked (label 1)",
        "and rows that were shown and not clicked (label 0)",
    ),
    "attention on the candidate": (
        ["user.preference.recent.pooling=target"],
        "user.preference.recent.sequence.pooling: expected mean, sqrtn, or attention",
        "a tower sees no candidate",
    ),
    "din in a user tower": (
        ["user.preference.recent.pooling=din"],
        "user.preference.recent.sequence.pooling: expected mean, sqrtn, or attention",
        "a tower sees no candidate",
    ),
    "an id in content": (
        ["item.content.own={kind: category}", "data.items=with_id.parquet"],
        "item.content.own: holds the item's own id",
        "make it a preference ({kind: category, aggregate: identity}), or say allow_id: true",
    ),
    "a half-life without times": (
        ["training.half_life=7d", NO_WINDOW, TIMELESS],
        "training.half_life: got '7d', and the interactions have no timestamp",
        "leave it out, or give the column",
    ),
    "a half-life without a unit": (
        ["training.half_life=7"],
        "training.half_life: got 7",
        "expected text such as 7d, 12h or 30m",
    ),
    "a window without times": (
        [TIMELESS],
        "item count has a window, but the interactions have no timestamp",
        "add one, or remove the window",
    ),
    "a split by time without times": (
        ["split={kind: by_time}", NO_WINDOW, TIMELESS],
        "split by_time: interactions have no timestamp",
        "use held_out_ids or given",
    ),
    "a ranker without history": (
        ["ranker={kind: din}", "user.preference={rate: {kind: number, aggregate: rate}}"],
        "ranker.history: got None",
        "expected a preference feature of the user of kind sequence with aggregate last",
    ),
    "a dual tower without id": (
        ["tower={kind: dat, dim: 16, embedding: 16}"],
        "user.preference: the tower 'dat' learns a vector for each user's own id",
        "add own_id: {kind: category, aggregate: identity, dim: 16}",
    ),
    "mimic without augmented vectors": (
        ["losses=[{kind: in_batch_softmax}, {kind: mimic}]"],
        "losses.mimic: reads augmented vectors of both sides",
        "take kind: dat for tower, or leave the loss out",
    ),
    "an alignment without its feature": (
        ["losses=[{kind: category_alignment, category: colour}]"],
        "losses.category_alignment: got 'colour'",
        "expected an item feature of kind category that is no statistic; there is maker",
    ),
    "reconstruction by a cosine": (
        ["losses=[{kind: reconstruction}]"],
        "losses.reconstruction: its targets are products of any size",
        "say similarity: inner_product",
    ),
    "factors that are not there": (
        [f"losses=[{{kind: reconstruction, factors: {LOST}}}]", "similarity=inner_product"],
        "lost.parquet: no such file, and losses.reconstruction.factors names it",
        "lay it there; `firstsight factors` fits factors",
    ),
    "vectors of items that are not there": (
        ["user.preference.x={kind: vector, aggregate: item_vectors, vectors: lost.parquet}"],
        "lost.parquet: no such file, and user.preference.x names it",
        "lay it there",
    ),
    "given negatives that are not there": (
        ["negatives=[{kind: given, file: lost.csv}]"],
        "lost.csv: no such file, and negatives.given names it",
        "lay it there",
    ),
    "a teacher's vectors without preference to hide": (
        ["losses=[{kind: distillation}]", "user={content: {region: {kind: category}}}"]
        + ["item={content: {tags: {kind: tags}}}"],
        "losses.distillation: the warm view is that with preference",
        "declare one, or give it another teacher",
    ),
    "a statistic of the other side": (
        ["item.preference.x={kind: tags, aggregate: profile, of: tags}"],
        "item.preference.x: 'profile'",
        "is a statistic of user only",
    ),
    "a context of items": (
        ["item.context.x={kind: number}"],
        "item: an item has no context",
        "context is what is known of a request",
    ),
    "a session that is no column": (
        ["losses=[{kind: pairwise, session: visit}]"],
        "losses: session 'visit'",
        "the interactions have user_id, item_id, split, tab, or say batch",
    ),
    "a member that is not in the list": (
        ["losses.other.weight=2"],
        "--set losses.other.weight=2: no 'other' in the list",
        "it holds ['in_batch_softmax']",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_validate_says_the_key_and_the_remedy_in_one_line(
    name: str, data: Path, tmp_path: Path, capsys: Output
) -> None:
    overrides, key, remedy = BAD[name]
    arguments = ["validate", written(data, tmp_path)]
    for one in overrides:
        arguments += ["--set", one]
    said = told(arguments, capsys)
    assert key in said
    assert remedy in said


def emptied(*path: str, value: object = None) -> Callable[[dict[str, Any]], Any]:
    """Return what puts a value, usually null, at a key of a configuration."""

    def change(raw: dict[str, Any]) -> None:
        place = raw
        for one in path[:-1]:
            place = place[one]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("user", "preference"), None, "user.preference: expected keys and values"),
        (("user", "preference"), 3, "user.preference: expected keys and values"),
        (("user",), None, "user: expected keys and values"),
        (("training",), 3, "training: expected keys and values"),
    ],
)
def test_a_preset_over_what_is_no_section_says_the_key(
    path: tuple[str, ...], value: object, key: str, data: Path, tmp_path: Path, capsys: Output
) -> None:
    config = written(data, tmp_path, emptied(*path, value=value))
    arguments = ["train", config, "--out", str(tmp_path / "run"), "--preset", "dat"]
    said = told(arguments, capsys)
    assert key in said
    assert "leave the key out" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "key", "remedy"),
    [
        (
            ["train", "--out", "OUT", "--preset", "dssn"],
            "preset 'dssn': expected one of",
            "dssm",
        ),
        (["compare", "--out", "OUT", "--presets", "ours,dssn"], "preset 'dssn'", "dssm"),
        (
            ["tune", "--out", "OUT", "--trials", "2", "--search", "training.learnin_rate=.1...2"],
            "training.learnin_rate: unknown key",
            "the nearest is 'learning_rate'",
        ),
        (
            ["tune", "--out", "OUT", "--trials", "2", "--search", "losses.mimik.user=.1...2"],
            "--search losses.mimik.user=",
            "it holds ['in_batch_softmax']",
        ),
        (
            ["tune", "--out", "OUT", "--trials", "2", "--search", "training.learning_rate=.1"],
            "--search training.learning_rate=.1",
            "expected path=low..high or path=[one, other]",
        ),
    ],
)
def test_a_preset_or_a_search_that_leads_nowhere_says_so(
    command: list[str], key: str, remedy: str, data: Path, tmp_path: Path, capsys: Output
) -> None:
    out = str(tmp_path / "out")
    arguments = [out if one == "OUT" else one for one in command]
    said = told([arguments[0], written(data, tmp_path), *arguments[1:]], capsys)
    assert key in said
    assert remedy in said


def test_the_configuration_that_is_changed_is_good(data: Path, tmp_path: Path) -> None:
    assert run(["validate", written(data, tmp_path)]) == 0
