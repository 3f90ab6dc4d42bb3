"""Writes what a run of the benchmarks has found into docs/benchmarks.md, and its plots beside it.

Run: python -m benchmarks.page [--out runs/bench] [--page docs/benchmarks.md]
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import OUT, RUNS
from benchmarks.plots import plots
from benchmarks.quality.page import between
from export.contract.errors import ConfigError

MARK = "benchmarks"
PAGE = Path("docs/benchmarks.md")
Found = dict[str, Any]
SHOWN = {
    "targets": "Each ratio over its target",
    "index": "The CPU of a query over its recall, for each index",
    "items": "What a service takes, over the number of items",
    "rows": "What training takes, over the number of rows",
}
"""What a plot shows, for who cannot see it."""


def read_all(out: Path) -> list[Found]:
    """Return what each benchmark has found, in the order in which they run.

    Raises:
        ConfigError: There is nothing.

    """
    paths = [path for name in RUNS if (path := out / f"{name}.json").exists()]
    if not paths:
        raise ConfigError(f"{out}: expected files of python -m benchmarks, found none")
    return [json.loads(path.read_bytes()) for path in paths]


def written(results: Sequence[Found], drawn: Mapping[str, str]) -> str:
    """Return a table of all ratios, with where and when each was found, and links to plots.

    Args:
        results: Of the benchmarks.
        drawn: The address of each plot, as the page sees it.

    """
    lines = []
    for machine in _distinct(one["machine"] for one in results):
        versions = ", ".join(f"{name} {told}" for name, told in machine.items() if name != "cpu")
        lines += [f"Machine: {machine['cpu']}, {versions}.", ""]
    lines += _head("benchmark", "parameters", "date", "commit", "load before, after")
    lines += [_row(_run_of(one)) for one in results]
    lines += ["", *_head("benchmark", "ratio", "median", "least to most", "target", "is")]
    for one in results:
        for ratio in one["figures"]["ratios"]:
            lines.append(_row([one["name"], *_told(ratio)]))
    for one in results:
        for growth in one["figures"].get("growth", ()):
            lines += ["", *_sizes(growth)]
    for name, address in drawn.items():
        lines += ["", f"![{SHOWN[name]}]({address})"]
    return "\n".join(lines)


def _sizes(growth: Found) -> list[str]:
    """Return a table with a column for each size."""
    of, laws, sizes = growth["of"], growth["laws"], growth["sizes"]
    heads = [f"{size['n']:,} {of}, {size['is']}" for size in sizes]
    names = [name for name in sizes[0] if name not in ("n", "is")]
    cells = ([f"{one[name]:,}" if name in one else "" for one in sizes] for name in names)
    rows = [_row([n, laws.get(n, ""), *row]) for n, row in zip(names, cells, strict=True)]
    return [*_head("what is taken", f"for n {of}", *heads), *rows]


def _distinct(machines: Any) -> list[Found]:
    return list({json.dumps(one): one for one in machines}.values())


def _run_of(found: Found) -> list[str]:
    hidden = {"work"}
    parameters = (
        f"{name} {value}" for name, value in found["parameters"].items() if name not in hidden
    )
    loads = ", ".join(str(one) for one in found["load before and after"])
    return [found["name"], ", ".join(parameters), found["date"], found["commit"], loads]


def _told(ratio: Found) -> list[str]:
    said = ratio["is"] if ratio["is"] == "met" else f"**{ratio['is']}**"
    between_them = f"{ratio['least']} to {ratio['most']}"
    return [ratio["ratio"], str(ratio["median"]), between_them, ratio["target"], said]


def _head(*names: str) -> list[str]:
    return [_row(names), "|" + "---|" * len(names)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(out: Path, page: Path) -> None:
    """Replace what stands between the page's marks, and the plots in a folder beside it.

    Raises:
        ConfigError: There is nothing to be written, or the page has no marks.

    """
    results = read_all(out)
    folder = page.with_suffix("")
    drawn = {name: (folder / f"{name}.svg", text) for name, text in plots(results).items()}
    links = {name: f"{folder.name}/{path.name}" for name, (path, _) in drawn.items()}
    text = between(page.read_text(encoding="utf-8"), MARK, written(results, links), page)
    folder.mkdir(exist_ok=True)
    for path, svg in drawn.values():
        path.write_text(svg, encoding="utf-8")
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    write(asked.out, asked.page)


if __name__ == "__main__":
    main()
