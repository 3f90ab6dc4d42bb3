"""The report of a bundle: what its manifest and its proofs say, as a page for people."""

import json
from collections.abc import Mapping
from typing import Any

from export.contract.manifest import BundleLayout, IndexReport, Manifest
from export.index.tune import TUNED
from export.page import html


def page(layout: BundleLayout, manifest: Manifest) -> str:
    """Return the page of a bundle that is written but for this page and the manifest."""
    parts = (
        _facts(manifest),
        html.section("Index", _index(manifest.index)),
        html.section("Proofs", _proofs(layout)),
        html.section("Files", _files(layout, manifest)),
    )
    return html.whole(manifest.version, "bundle", parts)


def _facts(manifest: Manifest) -> str:
    lineage = manifest.lineage
    trained_at = lineage.trained_at
    facts = {
        "run": lineage.run,
        "data": lineage.data,
        "data digest": lineage.data_digest,
        "trained": None if trained_at is None else trained_at.isoformat(" ", "seconds"),
        "exported": lineage.exported_at.isoformat(" ", "seconds"),
        "code": lineage.code,
        "log id": lineage.log_id,
        "catalogue": f"{manifest.items:,} items, vectors of {manifest.dim}",
        "similarity": manifest.similarity,
        "schema": manifest.schema_hash,
    }
    return html.facts({name: fact for name, fact in facts.items() if fact is not None})


def _index(report: IndexReport) -> str:
    """Return how the catalogue is searched, and of a tuned index what was measured."""
    kind = report.settings["kind"]
    if kind not in TUNED:
        return html.text(f"Kind {kind}: every vector is compared, so there is nothing to tune.")
    from export.tuning_plot import recall_by_cost, told  # matplotlib loads slowly

    reached = f"recall@{report.k} {report.measured_recall:.4f} (target {report.target_recall:g})"
    drawn = html.drawn(
        recall_by_cost(report, TUNED[kind].climbed),
        "Recall against exact search over the CPU that one search took in the export, of all cores "
        "together. Made queries lie near the items; users' vectors are those of the run's users. "
        "What was chosen is ringed: the last that was tried, which meets the target on both.",
    )
    rows = (
        html.row(told(rung), _measured(rung), is_own=rung is report.curve[-1])
        for rung in report.curve
    )
    heads = ("made queries", "users' vectors", "CPU of one search, us")
    table = html.table(f"recall@{report.k} of what was tried, in this order", heads, rows)
    return html.text(f"Kind {kind}, {told(report.settings)}: {reached}.") + drawn + table


def _measured(rung: Mapping[str, Any]) -> list[str]:
    recalls = ("-" if rung[of] is None else f"{rung[of]:.4f}" for of in ("near", "given"))
    return [html.cell(one) for one in (*recalls, f"{rung['cpu_us']:.1f}")]


def _proofs(layout: BundleLayout) -> str:
    """Return how near the files come to what was trained, and what is asked of them again."""
    parity = json.loads(layout.parity.read_bytes())
    rows = (
        html.row(
            part,
            map(
                html.cell,
                (
                    f"{sum(of['rows'].values()):,}",
                    f"{of['max_abs_difference']:.1e}",
                    f"{of['tolerance']:g}",
                ),
            ),
        )
        for part, of in parity.items()
    )
    title = "torch and onnxruntime over the same records, with and without preference"
    table = html.table(title, ("rows", "largest difference", "allowed"), rows)
    golden = json.loads(layout.golden.read_bytes())
    asked = f"{len(golden['users'])} of users, {len(golden['items'])} of items"
    return table + html.text(f"Golden queries, asked whenever the bundle is opened: {asked}.")


def _files(layout: BundleLayout, manifest: Manifest) -> str:
    sizes = {name: (layout.folder / name).stat().st_size for name in manifest.checksums}
    rows = (html.row(name, [html.cell(f"{size:,}")]) for name, size in sizes.items())
    title = f"members, without the manifest and this page: {sum(sizes.values()):,} bytes"
    return html.table(title, ("bytes",), rows)
