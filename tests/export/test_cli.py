"""The commands of this room, and that those for serving do without torch."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

import firstsight
from export.contract.bundle import read_bundle
from export.contract.run import RunLayout
from export.contract.tables import read_as_of, read_records, read_table


def test_embed_and_recall_write_what_they_say(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users, out = tmp_path / "users.csv", tmp_path / "out.csv"
    users.write_text("user_id,country,typo\n01,de,x\n")
    command = ["embed", str(tiny), str(users), "--side", "user", "--out", str(out)]
    assert firstsight.run(command) == 0
    told = capsys.readouterr()
    assert told.out == f"wrote {out} (1 vectors)\n"
    assert f"{users}: columns that are no features: typo" in told.err
    assert out.read_text().splitlines()[1].startswith('"01","')
    command = ["recall", str(tiny), "--users", str(users), "--k", "3", "--out", str(out), "--exact"]
    assert firstsight.run(command) == 0
    assert capsys.readouterr().out == f"wrote {out} (3 rows)\n"
    assert len(out.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["embed", "{tiny}", "{users}", "--side", "them", "--out", "o.csv"], "'them'"),
        (["embed", "{tiny}", "{users}", "--side", "user", "--out", "{out}/o.txt"], "'.txt'"),
        (["embed", "{users}", "{users}", "--side", "user", "--out", "o.csv"], "no bundle here"),
        (["recall", "{tiny}", "--users", "{users}", "--k", "0", "--out", "o.csv"], "--k"),
        (["recall", "{tiny}", "--users", "none.csv", "--out", "o.csv"], "none.csv: no such file"),
        (["export", "{out}", "--out", "{out}/v1"], "no finished run here"),
        (["export", "{out}", "--out", "{out}/v1", "--recall", "2"], "--recall"),
        (["export", "{out}", "--out", "{out}/v1", "--index", "flat"], "'flat'"),
        (["export", "{out}", "--out", "{out}/v1", "--log-id", "now"], "log id 'now'"),
    ],
)
def test_mistake_is_told_in_one_line_with_code_2(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    message: str,
) -> None:
    users = tmp_path / "users.csv"
    users.write_text("user_id\n1\n")
    filled = [part.format(tiny=tiny, users=users, out=tmp_path) for part in command]
    assert firstsight.run(filled) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1


def test_export_tells_parity_and_recall(commanded: Path) -> None:
    told = (commanded / "told.txt").read_text().splitlines()
    parts = ["user tower", "item tower", "ranker"]
    assert [text.partition(":")[0] for text in told[:3]] == parts
    assert "index exact: recall@100 1.0000 (target 0.99)" in told[3]
    assert told[4].startswith(f"wrote {commanded / 'trained-1'} (version trained-1, ")
    assert told[5].endswith(f"firstsight users load {commanded / 'users.parquet'}")


def test_users_lie_beside_the_bundle_and_not_in_it(commanded: Path) -> None:
    names = sorted(path.name for path in commanded.iterdir())
    assert names == ["told.txt", "trained-1", "users.parquet"]
    side = read_bundle(commanded / "trained-1").schema.user
    users = read_records(commanded / "users.parquet", side, "user_id")
    assert len(users) == 80
    assert any("val_1" in record for record in users.records)


def test_users_say_that_they_are_as_of_the_end_of_training(commanded: Path, run: RunLayout) -> None:
    written = read_table(commanded / "users.parquet")
    assert written.equals(read_table(run.users))
    finished_at = json.loads(run.metrics.read_bytes())["finished_at"]
    assert read_as_of(commanded / "users.parquet") == datetime.fromisoformat(finished_at)


@pytest.mark.parametrize("module", ["export.embedder", "export.offline", "export.cli"])
def test_bundle_is_opened_without_torch(tiny: Path, tmp_path: Path, module: str) -> None:
    users, out = tmp_path / "users.csv", tmp_path / "out.csv"
    users.write_text("user_id,country\n1,de\n")
    program = (
        "import sys, importlib\nfrom pathlib import Path\n"
        f"importlib.import_module({module!r})\n"
        "from export.offline import recall_file\n"
        "rows = recall_file(Path(sys.argv[1]), Path(sys.argv[2]), 3, Path(sys.argv[3]))\n"
        "assert rows == 3, rows\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'torch', 'onnx', 'training', 'service'}, loaded\n"
    )
    arguments: list[str | Path] = [sys.executable, "-c", program, tiny, users, out]
    found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
