"""From an EasyRec configuration to our YAML and, where the samples are given, to our tables."""

from dataclasses import dataclass
from pathlib import Path

from export.contract.errors import ConfigError
from export.contract.side import SideName
from training.config import parse_config
from training.document import parse_yaml
from training.easyrec.ledger import Ledger
from training.easyrec.page import page
from training.easyrec.plan import make_plan
from training.easyrec.samples import read_samples, write_tables


@dataclass(frozen=True)
class Request:
    """What `firstsight import-easyrec` is asked.

    `data` is the folder of the three tables, which are written there where `samples` is given.
    """

    source: Path
    out: Path
    data: Path
    samples: Path | None = None
    user_id: str | None = None
    item_id: str | None = None
    force: bool = False


def convert(request: Request) -> list[str]:
    """Write the YAML, and the tables if samples are given; return what to tell, line by line.

    Nothing is written unless everything can be.

    Raises:
        ConfigError: The file cannot be read; `out` is there already; or fields are refused: a
            line for each with the field, its value, and what to do.
        DataError: The samples cannot be read.

    """
    out = request.out
    if out.exists() and not request.force:
        raise ConfigError(f"{out}: is there already; --force replaces it, --out names another")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: no such folder")
    ids: dict[SideName, str | None] = {"user": request.user_id, "item": request.item_id}
    plan = make_plan(request.source, ids)
    _raise_refused(plan.ledger, request.source)
    samples = None
    if request.samples is not None:
        samples = read_samples(request.samples, plan.dataset)
        plan = make_plan(request.source, ids, rows=len(samples.table))
    text = page(plan, request.source, request.data, out)
    parse_config(parse_yaml(text), out)
    told = [] if samples is None else write_tables(samples, plan, request.data)
    out.write_text(text, encoding="utf-8")
    mapped, noted = len(plan.ledger.of("mapped")), len(plan.ledger.of("noted"))
    head = f"wrote {out}: {mapped} fields are mapped, {noted} are not carried over, each with why"
    follows = f"next: firstsight validate {out}"
    if samples is None:
        follows = f"next: write the tables that its head names into {request.data}, or --samples"
    return [head, *told, follows]


def _raise_refused(ledger: Ledger, path: Path) -> None:
    refused = ledger.of("refused")
    if refused:
        lines = "\n".join(f"  {entry}" for entry in refused)
        count = "a field is" if len(refused) == 1 else f"{len(refused)} fields are"
        raise ConfigError(f"{path}: {count} refused:\n{lines}")
