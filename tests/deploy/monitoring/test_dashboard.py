"""The dashboard of Grafana: well formed, and every expression names metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.monitoring.rules import MONITORING, NAME, RULES, faults
from tests.metrics_page import told

GRAFANA = MONITORING / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "firstsight.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
OF_GRAFANA = {"__rate_interval"}


def expressions() -> Iterator[tuple[str, str]]:
    """Give every expression with the title of its panel."""
    for panel in DRAWN:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_it_has_what_grafana_asks_of_a_dashboard() -> None:
    assert DASHBOARD["uid"] == DASHBOARD["title"] == "firstsight"
    assert DASHBOARD["schemaVersion"] >= 39
    assert "id" not in DASHBOARD  # which is the database's, and would overwrite another
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in DRAWN:
        assert panel["type"] == "timeseries"
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in {"reqps", "percentunit", "s", "short"}
        references = [target["refId"] for target in panel["targets"]]
        assert references == sorted(set(references))
        assert references
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_lie_in_the_grid_and_none_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(("title", "expr"), list(expressions()))
def test_an_expression_names_metrics_labels_and_variables_that_there_are(
    title: str, expr: str
) -> None:
    assert faults(expr) == []
    assert set(re.findall(r"\$(\w+)", expr)) <= VARIABLES.keys() | OF_GRAFANA


def test_variables_ask_for_metrics_that_there_are() -> None:
    asked = [one["definition"] for one in VARIABLES.values() if one["type"] == "query"]
    assert asked
    assert [faults(one) for one in asked] == [[]] * len(asked)


def test_legends_name_labels_that_the_expression_keeps() -> None:
    for panel in DRAWN:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
            if kept:
                assert named <= set(re.split(r",\s*", kept[1])), panel["title"]
            elif "sum(" not in target["expr"]:
                [name] = set(NAME.findall(target["expr"]))
                labels = {"instance"} if ":" in name else {"instance", *told()[name].labels}
                assert named <= labels, panel["title"]


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)
def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    read = [expr.replace("$__rate_interval", "1m") for _, expr in expressions()]
    rules = [{"record": f"one:{n}", "expr": expr} for n, expr in enumerate(read)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "drawn", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(read)} rules found" in done.stdout


def test_what_alerts_look_at_is_drawn() -> None:
    text = "".join(expr for _, expr in expressions())
    metrics = set(re.findall(r"firstsight_\w+?(?=_bucket|\{|\[|\)| )", RULES.read_text("utf-8")))
    assert metrics
    assert [one for one in metrics if one not in text] == []
