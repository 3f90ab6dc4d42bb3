"""The rules: names that exist, a section of the runbook for each alert, and what makes it fire."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.monitoring.rules import RULES, alerts, faults, rules

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)

Series = dict[str, str]


def of(metric: str, instance: str = "a", **labels: str) -> str:
    """Return a series of a replica."""
    told = {"job": "firstsight", "instance": instance, **labels}
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in told.items()) + "}"


def rises(before: int, minutes: int) -> str:
    """Return a counter that stands, rises by 60 a minute, and stands again."""
    high = 60 * minutes
    return f"0x{before} 0+60x{minutes} {high}x60"


# Alert: series that are well for 10 minutes, bad for 20, and well again for an hour.
BAD_FOR_20: dict[str, Series] = {
    "FirstsightNoReplicaReady": {of("firstsight_ready"): "1x9 0x19 1x60"},
    "FirstsightErrors": {
        of("firstsight_requests_total", status="500"): rises(9, 20),
        of("firstsight_requests_total", status="200"): "0+600x90",
    },
    "FirstsightSlow": {
        of("firstsight_recall_seconds_bucket", le="0.25"): "0x90",
        of("firstsight_recall_seconds_bucket", le="0.5"): rises(9, 20),
        of("firstsight_recall_seconds_bucket", le="+Inf"): rises(9, 20),
    },
    "FirstsightDegraded": {
        of("firstsight_degraded_total", reason="store"): rises(9, 20),
        of("firstsight_recall_total", state="warm"): "0+600x90",
    },
    "FirstsightBreakerOpen": {of("firstsight_breaker_open"): "0x9 1x19 0x60"},
    "FirstsightLogLag": {of("firstsight_log_lag_seconds"): "2x9 40x19 2x60"},
    "FirstsightRecallBelowTarget": {
        of("firstsight_online_recall", version="v"): "0.99x9 0.9x19 0.99x60"
    },
    "FirstsightNothingDurable": {
        of("firstsight_durability", level="none"): "0x9 1x19 0x60",
        of("firstsight_durability", level="fsync"): "1x9 0x19 1x60",
    },
    "FirstsightBundleRefused": {of("firstsight_bundle_refused"): "0x9 1x19 0x60"},
    "FirstsightVersionsDiffer": {
        of("firstsight_served_share", version="v1"): "1x9 0.1x19 0x60",
        of("firstsight_served_share", version="v2"): "0x9 0.9x19 1x60",
        of("firstsight_served_share", version="v1", instance="b"): "1x9 1x19 0x60",
        of("firstsight_served_share", version="v2", instance="b"): "0x9 0x19 1x60",
    },
    "FirstsightGrowthBlocked": {of("firstsight_growth_blocked", version="v"): "0x9 1x19 0x60"},
    "FirstsightSnapshotsFail": {
        of("firstsight_snapshots_total", was="failed"): "0x9 0+1x20 20x60",
    },
    "FirstsightReplicasDiffer": {
        of("firstsight_items_checksum", version="v"): "5x9 6x19 7x60",
        of("firstsight_items_checksum", version="v", instance="b"): "5x9 5x19 7x60",
    },
}


def test_every_alert_has_a_case_and_a_section_of_the_runbook_that_it_links_to() -> None:
    names = [alert.name for alert in alerts()]
    sections = re.findall(r"^## (.+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert sections == names
    assert BAD_FOR_20.keys() == set(names)
    for alert in alerts():
        assert alert.runbook == f"docs/runbook.md#{alert.name.lower()}"


def test_every_section_says_what_it_means_where_to_look_and_what_to_do() -> None:
    for section in RUNBOOK.read_text("utf-8").split("\n## ")[1:]:
        for part in ("**It means**", "**Look**", "**Do**"):
            assert section.count(f"\n{part}") == 1, section.splitlines()[0]


@pytest.mark.parametrize("rule", rules(), ids=[r.get("alert", r.get("record")) for r in rules()])
def test_a_rule_names_metrics_and_labels_that_there_are(rule: dict[str, str]) -> None:
    assert faults(rule["expr"]) == []


def test_what_is_not_there_is_found() -> None:
    assert faults("rate(firstsight_no_such_total[5m])") == ["no metric firstsight_no_such_total"]
    assert faults('firstsight_requests_total{user="u"}') == [
        "firstsight_requests_total has no label user"
    ]


@needs_promtool
@pytest.mark.parametrize("name", BAD_FOR_20)
def test_an_alert_fires_while_it_is_bad_and_clears(name: str, tmp_path: Path) -> None:
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > 0'
    told = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": one, "values": values} for one, values in BAD_FOR_20[name].items()
                ],
                "promql_expr_test": [
                    {"expr": f"{firing} or vector(0)", "eval_time": at, "exp_samples": [value]}
                    for at, value in (
                        ("9m", {"labels": "{}", "value": 0}),
                        ("27m", {"labels": "{}", "value": 1}),
                        ("60m", {"labels": "{}", "value": 0}),
                    )
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(told))))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_replicas_that_are_written_to_differ_and_nothing_fires(tmp_path: Path) -> None:
    told = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": of("firstsight_items_checksum", version="v", instance=replica),
                        "values": values,
                    }
                    for replica, values in (("a", "1+1x60"), ("b", "2+1x60"))
                ],
                "promql_expr_test": [
                    {"expr": 'count(ALERTS{alertname="FirstsightReplicasDiffer"})', "eval_time": at}
                    for at in ("10m", "30m", "60m")
                ],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(told))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
