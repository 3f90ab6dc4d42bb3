"""The rules: names that exist, a section of the runbook for each alert, and what makes it fire."""

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
    "FirstsightNoReplicaReady": {
        of("firstsight_ready"): "1x9 0x19 1x60",
        of("up"): "1x90",
        of("firstsight_ready", namespace="another"): "1x90",  # is no help to this one
        of("up", namespace="another"): "1x90",
    },
    "FirstsightReplicaNotReady": {
        of("firstsight_ready"): "1x9 0x19 1x60",
        of("firstsight_ready", instance="b"): "1x90",
        of("up"): "1x90",
        of("up", instance="b"): "1x90",
    },
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
    "FirstsightKeysRefused": {of("firstsight_keys_refused"): "0x9 1x19 0x60"},
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


def promtool(folder: Path, series: Series, *told: tuple[str, str, int]) -> None:
    """Have promtool say, of these series, each expression's value at a time; 0 stands for none."""
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"({expr}) or vector(0)",
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for expr, at, value in told
        ],
    }
    path = folder / "test.yml"
    file = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}
    path.write_text(yaml.safe_dump(file))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def firing(name: str) -> str:
    """Return an expression: of how many an alert fires."""
    return f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'


def pending(name: str) -> str:
    """Return an expression: of how many an alert fires, or will."""
    return f'count(ALERTS{{alertname="{name}"}})'


@needs_promtool
@pytest.mark.parametrize("name", BAD_FOR_20)
def test_an_alert_fires_while_it_is_bad_and_clears(name: str, tmp_path: Path) -> None:
    is_firing = f"{firing(name)} > bool 0"
    promtool(
        tmp_path,
        BAD_FOR_20[name],
        (is_firing, "9m", 0),
        (is_firing, "27m", 1),
        (is_firing, "60m", 0),
    )


@needs_promtool
def test_replicas_that_are_written_to_differ_and_nothing_fires(tmp_path: Path) -> None:
    written = {
        of("firstsight_items_checksum", version="v"): "1+1x60",
        of("firstsight_items_checksum", version="v", instance="b"): "2+1x60",
    }
    told = pending("FirstsightReplicasDiffer")
    promtool(tmp_path, written, *((told, at, 0) for at in ("10m", "30m", "60m")))


@needs_promtool
def test_services_of_two_namespaces_may_differ(tmp_path: Path) -> None:
    series = Series()
    for namespace in ("shop", "trial"):
        for replica in "ab":
            where = {"instance": f"{namespace}-{replica}", "namespace": namespace}
            series[of("firstsight_served_share", version=namespace, **where)] = "1x90"
            checksum = {"shop": "5x90", "trial": "6x90"}[namespace]
            series[of("firstsight_items_checksum", version="v", **where)] = checksum
    names = ("FirstsightVersionsDiffer", "FirstsightReplicasDiffer")
    promtool(tmp_path, series, *((pending(name), "60m", 0) for name in names))


@needs_promtool
def test_a_replica_that_is_not_scraped_is_told_by_its_name_and_one_that_is_taken_away_is_not(
    tmp_path: Path,
) -> None:
    series = {
        of("up"): "1x90",
        of("firstsight_ready"): "1x90",
        of("up", instance="dead"): "1x9 0x80",
        of("firstsight_ready", instance="dead"): "1x9 stale _x80",
        of("up", instance="gone"): "1x9 stale _x80",
        of("firstsight_ready", instance="gone"): "1x9 stale _x80",
    }
    name = "FirstsightReplicaNotReady"
    dead = firing(name).replace("{", '{instance="dead",', 1)
    others = (firing(name), "40m", 1), (firing("FirstsightNoReplicaReady"), "40m", 0)
    promtool(tmp_path, series, (firing(name), "9m", 0), (dead, "40m", 1), *others)


@needs_promtool
def test_where_nothing_is_scraped_no_replica_is_ready(tmp_path: Path) -> None:
    told = firing("FirstsightNoReplicaReady")
    dead = {of("up"): "0x90", of("up", instance="b"): "0x90"}
    promtool(tmp_path, dead, (told, "10m", 1), (pending("FirstsightReplicaNotReady"), "60m", 0))
    promtool(tmp_path, {of("up").replace("firstsight", "another"): "1x90"}, (told, "10m", 1))
