"""The page of a bundle: what it says, and that every bundle has it."""

import re
from pathlib import Path

import pytest

from export.contract.bundle import read_bundle
from export.contract.errors import BundleError
from export.contract.manifest import BundleLayout, Manifest, read_manifest
from export.index.tune import TUNED, TunedKind
from export.report import page
from tests.export.forged import copied, sign
from tests.pages import check_asks_nothing, tags
from tests.tiny import tiny_bundle

HOSTILE = "<script>alert('x')</script> $x$"


def opened(folder: Path) -> tuple[BundleLayout, Manifest, str]:
    layout = BundleLayout(folder)
    return layout, read_manifest(folder), layout.report.read_text()


@pytest.mark.parametrize("kind", TUNED)
def test_a_tuned_index_is_shown_with_all_that_was_measured(tmp_path: Path, kind: TunedKind) -> None:
    layout, manifest, _ = opened(tiny_bundle(tmp_path, items=2100, index=kind))
    index = manifest.index
    settings = TUNED[kind].model_validate(index.settings)
    dearer = settings.model_copy(update={settings.climbed: 1})
    missed = dearer.model_dump() | {"near": 0.7654, "given": 0.6543, "cpu_us": 12.3}
    index = index.model_copy(update={"curve": [missed, *index.curve]})
    text = page(layout, manifest.model_copy(update={"index": index}))
    check_asks_nothing(text)
    assert text.count("<svg") == 1
    assert f"Kind {kind}, " in text
    assert f"recall@100 {index.measured_recall:.4f} (target 0.99)" in text
    for rung in index.curve:
        for told in (f"{rung['near']:.4f}", f"{rung['given']:.4f}", f"{rung['cpu_us']:.1f}"):
            assert f"<td>{told}</td>" in text
    (own,) = re.findall(r'<tr class="own">(.*?)</tr>', text)
    assert f"{settings.climbed} {index.settings[settings.climbed]}" in own
    assert "0.7654" not in own


def test_of_an_exact_index_there_is_nothing_to_tune(tiny: Path) -> None:
    _, manifest, text = opened(tiny)
    assert manifest.index.settings["kind"] == "exact"
    assert "Kind exact: every vector is compared, so there is nothing to tune." in text
    assert "<svg" not in text


def test_the_report_says_what_the_manifest_and_the_proofs_say(exported: Path) -> None:
    layout, manifest, text = opened(exported)
    lineage = manifest.lineage
    assert f"<h1>{manifest.version}</h1>" in text
    for told in (lineage.run, lineage.data, lineage.data_digest, lineage.code):
        assert f"<dd>{told}</dd>" in text
    assert f"60 items, vectors of {manifest.dim}" in text
    for part in ("user", "item", "ranker"):
        assert re.search(rf'<th scope="row">{part}</th><td>[\d,]+</td><td>\d\.\de-\d\d</td>', text)
    assert "16 of users, 16 of items" in text
    for name in manifest.checksums.keys() - {"report.html"}:
        size = (layout.folder / name).stat().st_size
        assert f'<th scope="row">{name}</th><td>{size:,}</td>' in text


def test_names_that_would_like_to_be_code_are_text(tiny: Path) -> None:
    layout, manifest, _ = opened(tiny)
    lineage = manifest.lineage.model_copy(update={"run": HOSTILE, "data": HOSTILE})
    text = page(layout, manifest.model_copy(update={"lineage": lineage}))
    check_asks_nothing(text)
    assert "script" not in {tag for tag, _ in tags(text)}
    assert text.count("&lt;script&gt;") == 2


def test_a_report_that_was_changed_is_refused_as_any_member_is(spoilt: Path) -> None:
    BundleLayout(spoilt).report.write_text("recall 1.0")
    with pytest.raises(BundleError, match=r"member report\.html has changed"):
        read_manifest(spoilt)


def test_a_bundle_from_before_there_were_reports_is_read(tiny: Path, tmp_path: Path) -> None:
    folder = copied(tiny, tmp_path)
    BundleLayout(folder).report.unlink()
    sign(folder)
    assert "report.html" not in read_bundle(folder).manifest.checksums
