"""What the chart renders, against the settings, the image and the gateway; and what it starts."""

import contextlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from export.contract.errors import ConfigError
from service.http.openapi import document
from service.keys.key import new_key
from service.processes.loader_process import LoaderProcess
from service.rollout.bundles import list_bundles
from service.settings import Settings, read_settings
from tests.deploy.chart import (
    CHART,
    NAMES,
    Manifest,
    containers,
    manifests,
    of_kind,
    pods,
    served_by,
)
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.gateway import is_open
from tests.deploy.monitoring.rules import RULES
from tests.end_to_end.processes import Served, free_port
from tests.service.store.servers import eventually
from tests.tiny import tiny_bundle


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_one_and_its_value_can_be_used(name: str) -> None:
    told = dict(of_kind(name, "ConfigMap")["data"])
    given = {one["name"]: one.get("value") for one in served_by(name)["env"]}
    assert {"FIRSTSIGHT_REDIS", "FIRSTSIGHT_ADMIN_TOKEN"} <= given.keys()
    assert ("FIRSTSIGHT_KEYS_FILE" in given) == (name == "full")
    assert not told.keys() & given.keys()
    secrets = (one["stringData"] for one in manifests(name) if one["kind"] == "Secret")
    for data in secrets:
        for one in served_by(name)["env"]:
            if reference := one.get("valueFrom", {}).get("secretKeyRef"):
                given[one["name"]] = data.get(reference["key"])
    told |= {key: text for key, text in given.items() if text is not None}
    settings = read_settings(Dockerfile.ours().environment("service", PATH="") | told)
    assert (settings.redis is None) == (name == "claim")  # there it is in a Secret of the user's


def test_links_to_services_of_such_a_name_would_stop_the_start() -> None:
    with pytest.raises(ConfigError, match="FIRSTSIGHT_REDIS_SERVICE_HOST"):  # of `firstsight-redis`
        read_settings({"FIRSTSIGHT_REDIS_SERVICE_HOST": "10.0.0.1"})
    for name in NAMES:
        assert [one["enableServiceLinks"] for one in pods(name)] == [False] * len([*pods(name)])


def test_the_schema_keeps_what_the_chart_sets_out_of_settings() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text("utf-8"))
    refused = set(schema["properties"]["settings"]["propertyNames"]["not"]["enum"])
    assert {
        one.removeprefix("FIRSTSIGHT_").lower() for one in refused
    } <= Settings.model_fields.keys()
    taken = {one["name"] for one in served_by("full")["env"] if one["name"].startswith("FIRST")}
    image = Dockerfile.ours().environment("service", PATH="")
    taken |= {one for one in image if one.startswith("FIRST")} - {"FIRSTSIGHT_HOST"}  # IPv6: "::"
    assert refused == taken


@pytest.mark.parametrize("name", NAMES)
def test_who_is_told_to_leave_has_the_time_for_it(name: str) -> None:
    settings = read_settings(of_kind(name, "ConfigMap")["data"])
    pod = of_kind(name, "Deployment")["spec"]["template"]["spec"]
    needed = settings.readiness_off_s + settings.grace_s + LoaderProcess.OVERSTAY_S
    assert pod["terminationGracePeriodSeconds"] > needed
    probe = pod["containers"][0]["readinessProbe"]
    seen = probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"])
    assert settings.readiness_off_s >= seen


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_that_takes_as_long_as_it_may_is_waited_for(name: str) -> None:
    settings = read_settings(of_kind(name, "ConfigMap")["data"])
    probe = served_by(name)["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] > settings.load_timeout_s
    deadline = of_kind(name, "Deployment")["spec"]["progressDeadlineSeconds"]
    assert deadline >= math.ceil(settings.load_timeout_s + settings.catch_up_s)


@pytest.mark.parametrize("name", NAMES)
def test_who_runs_is_who_the_image_is_for_and_may_do_nothing_more(name: str) -> None:
    user, _, group = Dockerfile.ours().last("service", "USER").partition(":")
    for pod in pods(name):
        context = pod["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_image_writes_is_a_volume_and_bundles_are_only_read(name: str) -> None:
    image = Dockerfile.ours().environment("service", PATH="")
    mounts = {
        one["mountPath"]: one.get("readOnly", False) for one in served_by(name)["volumeMounts"]
    }
    assert mounts[image["FIRSTSIGHT_BUNDLES"]] is True
    assert mounts[image["FIRSTSIGHT_DATA_FOLDER"]] is False
    assert mounts["/tmp"] is False
    for pod in pods(name):
        there = {one["name"] for one in pod.get("volumes", [])}
        for container in containers(pod):
            assert {one["name"] for one in container.get("volumeMounts", [])} <= there


@pytest.mark.parametrize("name", NAMES)
def test_every_selector_finds_the_serving_pods_and_no_others(name: str) -> None:
    def labels(one: Manifest) -> dict[str, str]:
        found: Manifest = (
            one["metadata"] if one["kind"] == "Pod" else one["spec"]["template"]["metadata"]
        )
        return dict(found["labels"])

    serving = labels(of_kind(name, "Deployment"))
    others = [labels(one) for one in manifests(name) if one["kind"] in ("Pod", "Job")]
    spread = of_kind(name, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        of_kind(name, "Service")["spec"]["selector"],
        of_kind(name, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(name, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(name, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in spread),
    ]
    for selector in selectors:
        assert selector.items() <= serving.items()
        assert not [one for one in others if selector.items() <= one.items()]
    (tester,) = (one for one in others if one["app.kubernetes.io/component"] == "test")
    (rule,) = of_kind(name, "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"][-1]["podSelector"]["matchLabels"].items() <= tester.items()


def test_the_port_is_that_of_the_image_everywhere() -> None:
    port = int(Dockerfile.ours().environment("service", PATH="")["FIRSTSIGHT_PORT"])
    (named,) = served_by("full")["ports"]
    assert named["containerPort"] == port
    (rule,) = of_kind("full", "NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]
    (offered,) = of_kind("full", "Service")["spec"]["ports"]
    (scraped,) = of_kind("full", "ServiceMonitor")["spec"]["endpoints"]
    assert offered["targetPort"] == offered["name"] == scraped["port"] == named["name"]


def test_what_is_asked_for_is_served_and_an_ingress_opens_no_more_than_the_gateway() -> None:
    paths = document()["paths"]
    asked = [
        one["httpGet"]["path"] for key, one in served_by("full").items() if key.endswith("Probe")
    ]
    asked += [of_kind("full", "ServiceMonitor")["spec"]["endpoints"][0]["path"]]
    assert len(asked) == 4
    assert set(asked) <= paths.keys()
    (rule,) = of_kind("full", "Ingress")["spec"]["rules"]
    opened = tuple(one["path"] for one in rule["http"]["paths"])
    for path in opened:
        assert is_open(path) or is_open(f"{path}/x"), path
        assert [one for one in paths if one.startswith(path)]
    for path in ("/metrics", "/bundles"):
        assert not is_open(path)
        assert not [one for one in opened if path.startswith(one)]


def in_pod(container: Manifest, secret: dict[str, str]) -> dict[str, str]:
    """Return the FIRSTSIGHT_* of a container, where every Secret that it names has these keys."""
    given = dict[str, str]()
    for one in container.get("env", []):
        reference = one.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            given[one["name"]] = one["value"]
        elif reference["key"] in secret:
            given[one["name"]] = secret[reference["key"]]
        else:
            assert reference.get("optional"), reference  # else the container is not started
    return given


@pytest.mark.parametrize("name", NAMES)
def test_what_a_pod_is_told_serves_and_the_test_pod_finds_it(name: str, tmp_path: Path) -> None:
    """With the token as the only key, or with a file of keys and no token (full)."""
    secret = {} if name == "full" else {"admin-token": "a-token-of-this-test"}
    given = in_pod(served_by(name), {"redis": "redis://elsewhere"} | secret)
    told = {
        key.removeprefix("FIRSTSIGHT_").lower(): text
        for key, text in (of_kind(name, "ConfigMap")["data"] | given).items()
        if key not in ("FIRSTSIGHT_REDIS", "FIRSTSIGHT_BUNDLE", "TZ")
    }
    told |= {"readiness_off_s": "0", "workers": "1"}  # no gateway looks on
    if "keys_file" in told:
        (tmp_path / "keys").write_text(new_key("shop", "recall")[1] + "\n")
        told["keys_file"] = str(tmp_path / "keys")
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), **told)
    try:
        for key in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert served.ask("GET", served_by(name)[key]["httpGet"]["path"])[0] == 200
        assert served.ask("GET", "/version")[0] == 401
        (asks,) = of_kind(name, "Pod")["spec"]["containers"]
        command = [sys.executable, *asks["command"][1:-1], f"http://127.0.0.1:{served.port}"]

        def ask(secret: dict[str, str]) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(command, env=in_pod(asks, secret), capture_output=True, text=True)

        answered = ask(secret)
        assert answered.returncode == 0, answered.stderr
        assert f"/recall?user_id=helm-test&k=1 {200 if secret else 401}" in answered.stdout
        assert not secret or secret["admin-token"] not in answered.stdout
        wrong = ask({"admin-token": "another-token-than-that"})
        assert wrong.returncode != 0
        assert served.stop() == 0
        assert ask(secret).returncode != 0
    finally:
        served.kill()


def test_keys_that_kubernetes_replaces_are_taken_without_a_restart(tmp_path: Path) -> None:
    container = served_by("full")
    (mounted,) = (one for one in container["volumeMounts"] if one["name"] == "keys")
    assert "subPath" not in mounted  # which is bound once and never updated
    file = Path(in_pod(container, {"redis": "redis://elsewhere"})["FIRSTSIGHT_KEYS_FILE"])
    assert str(file.parent) == mounted["mountPath"]

    def publish(number: int) -> str:
        """Put a Secret into the folder as the kubelet does: all its files at once, by one link."""
        key, line = new_key(f"shop-{number}", "recall")
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / file.name).write_text(f"{line}\n")
        (tmp_path / "..new").symlink_to(f"..{number}")
        (tmp_path / "..new").rename(tmp_path / "..data")
        return key

    first = publish(1)
    (tmp_path / file.name).symlink_to(f"..data/{file.name}")
    told = {"keys_file": tmp_path / file.name}
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), **told)

    def status(key: str) -> int:
        url = f"http://127.0.0.1:{served.port}/version"
        return httpx.get(url, headers={"authorization": f"Bearer {key}"}).status_code

    try:
        assert status(first) == 200
        second = publish(2)
        eventually(lambda: status(second) == 200)
        assert status(first) == 401
    finally:
        served.kill()


HANGUP = re.compile(r"exec POD -- sh -c '([^']+)'")
AS_IN_A_POD = (
    "unshare",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)
"""Processes see each other alone, and the first of them is not the service."""


@pytest.mark.skipif(
    subprocess.run([*AS_IN_A_POD, "true"], capture_output=True).returncode != 0,
    reason="this machine lets nobody make namespaces",
)
def test_a_handover_is_asked_for_in_a_pod_as_the_runbook_says(tmp_path: Path) -> None:
    assert of_kind("claim", "Deployment")["spec"]["template"]["spec"]["shareProcessNamespace"]
    (hangup,) = HANGUP.findall((ROOT / "docs" / "runbook.md").read_text("utf-8"))
    port, bundle, log = free_port(), tiny_bundle(tmp_path / "bundles"), tmp_path / "log"
    words = [sys.executable, "-m", "firstsight", "serve", "--bundle", str(bundle), f"--port={port}"]
    script = '"$@" & read ready; sh -c "$HANGUP"; wait'
    environ = {"PATH": os.environ["PATH"], "HANGUP": hangup, "PYTHONPATH": str(ROOT)}
    environ |= {"FIRSTSIGHT_DATA_FOLDER": str(tmp_path / "data")}
    with log.open("wb") as written:
        pod = subprocess.Popen(
            [*AS_IN_A_POD, "sh", "-c", script, "sh", *words],
            stdin=subprocess.PIPE, stdout=written, stderr=written, env=environ,
        )  # fmt: skip

    def is_ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        return False

    try:
        eventually(is_ready)
        assert "handover asked for" not in log.read_text("utf-8")
        assert pod.stdin is not None
        pod.stdin.write(b"ready\n")
        pod.stdin.flush()
        eventually(lambda: "handover asked for" in log.read_text("utf-8"), 20)
    finally:
        pod.kill()
        pod.communicate(timeout=20)


def test_rules_of_the_operator_are_those_of_the_file_and_of_the_job_that_is_scraped() -> None:
    rules = yaml.safe_load(RULES.read_text("utf-8"))
    assert of_kind("full", "PrometheusRule")["spec"] == rules
    (scraped,) = of_kind("full", "ServiceMonitor")["spec"]["endpoints"]
    (job,) = (one for one in scraped["relabelings"] if one["targetLabel"] == "job")
    assert set(re.findall(r'job="([^"]+)"', RULES.read_text("utf-8"))) == {job["replacement"]}


def test_the_publishing_job_publishes_what_was_fetched(tmp_path: Path) -> None:
    job = of_kind("full", "Job")["spec"]["template"]["spec"]
    fetch, *publishers = job["initContainers"]
    environ = {one["name"]: one["value"] for one in fetch["env"]}
    versions = environ["VERSIONS"].split()
    for version in versions:
        tiny_bundle(tmp_path / "incoming", version)
    bundles, data = tmp_path / "bundles", tmp_path / "data"
    bundles.mkdir()  # a mounted volume
    environ = {"FIRSTSIGHT_BUNDLES": str(bundles), "FIRSTSIGHT_DATA_FOLDER": str(data)}
    for container in (*publishers, *job["containers"]):
        words = [one.replace("/incoming/", f"{tmp_path}/incoming/") for one in container["args"]]
        told = subprocess.run(
            [sys.executable, "-m", "firstsight", *words],
            capture_output=True, text=True, env=environ, cwd=ROOT,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
    assert all(one in told.stdout for one in versions)
    assert sorted(one.version for one in list_bundles(bundles)) == versions
