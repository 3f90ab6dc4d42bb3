"""compose.yaml against the Compose specification, and against what it starts."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from compose_spec import PyCompose

from service.redis.embedded import server_binary
from service.settings import Settings
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.gateway import CONFIG
from tests.end_to_end.processes import Served, free_port
from tests.tiny import tiny_bundle

FOLDER = ROOT / "deploy"


def interpolated() -> str:
    """Return the text as Compose reads it where only VERSION is set."""

    def value(found: re.Match[str]) -> str:
        name, operator, rest = found.groups()
        assert operator or name == "VERSION", f"{name} has no default"
        return "tiny-1" if name == "VERSION" else str(rest)

    text = (FOLDER / "compose.yaml").read_text("utf-8")
    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(interpolated())["services"]
    return found


def test_it_is_of_the_compose_specification() -> None:
    digests = re.compile(
        r"@sha256:[0-9a-f]{64}"
    )  # beside a tag: allowed, and unknown to the parser
    read = yaml.safe_load(digests.sub("", interpolated()))  # merges `<<`, as Compose does
    told = PyCompose.from_json(json.dumps(read))
    assert {"gateway", "service", "publisher", "redis"} <= set(told.service_names())
    with pytest.raises(ValueError, match="read_onyl"):
        PyCompose.from_yaml("services: {one: {image: a, read_onyl: true}}")


@pytest.mark.skipif(
    shutil.which("docker-compose") is None
    and (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0
    ),
    reason="docker compose is not installed",
)
def test_compose_itself_takes_it() -> None:
    words = ["docker", "compose"] if shutil.which("docker-compose") is None else ["docker-compose"]
    told = subprocess.run(
        [*words, "--file", str(FOLDER / "compose.yaml"), "--profile", "monitoring", "config", "-q"],
        env={"PATH": os.environ["PATH"], "VERSION": "tiny-1"},
        capture_output=True,
        text=True,
    )
    assert (told.returncode, told.stderr) == (0, "")


def test_containers_are_confined_and_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    for name, one in services.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert not one.get("privileged"), name
        for volume in one["volumes"]:
            source = volume.partition(":")[0] if isinstance(volume, str) else ""
            if source.startswith("./"):
                assert (FOLDER / source).exists(), source
                assert volume.endswith(":ro")


def test_only_the_gateway_is_reached_from_outside(services: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published.pop("gateway") == ["80:8080", "443:8443"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert yaml.safe_load(interpolated())["networks"]["inside"] == {"internal": True}
    assert all(one["networks"] == ["inside"] for n, one in services.items() if n not in OUTSIDE)


OUTSIDE = ("gateway", "grafana")


def test_each_variable_of_the_gateway_is_given(services: dict[str, Any]) -> None:
    gateway = services["gateway"]
    text = CONFIG.read_text("utf-8")
    optional = r"(?s)\.if defined\(GATEWAY_TOKENS\).*?\.endif|nameserver [^\n]*"
    asked = set(re.findall(r"\$\{(GATEWAY_\w+)\}", re.sub(optional, "", text)))
    given = gateway["environment"]
    assert asked == {name for name in given if name.startswith("GATEWAY_")}
    assert gateway["volumes"] == ["./gateway:/usr/local/etc/haproxy:ro"]  # where its image looks
    assert CONFIG.relative_to(FOLDER).as_posix() == "gateway/haproxy.cfg"
    certificate = Path(given["GATEWAY_CERTIFICATE"]).name
    mounted = {one["source"]: one["target"] for one in gateway["secrets"]}
    assert mounted == {"certificate": certificate, "key": f"{certificate}.key"}
    [ends] = re.findall(r"hard-stop-after (\d+)s", text)
    assert float(gateway["stop_grace_period"].removesuffix("s")) > float(ends)


def test_the_service_is_given_settings_that_there_are(services: dict[str, Any]) -> None:
    for name in ("service", "publisher"):
        for setting in services[name]["environment"]:
            assert setting.removeprefix("FIRSTSIGHT_").lower() in Settings.model_fields
    port = Dockerfile.ours().environment("service", PATH="")["FIRSTSIGHT_PORT"]
    gateway = services["gateway"]["environment"]
    assert gateway["GATEWAY_REPLICAS"] == f"service:{port}"
    scraped = yaml.safe_load((FOLDER / "monitoring" / "prometheus.yml").read_text("utf-8"))
    (found,) = scraped["scrape_configs"][0]["dns_sd_configs"]
    assert (found["names"], str(found["port"])) == (["service"], port)
    [inside] = scraped["scrape_configs"][1]["static_configs"]
    assert inside["targets"] == [f"gateway{gateway['GATEWAY_METRICS']}"]
    grace = Settings().grace_s + Settings().readiness_off_s
    assert float(services["service"]["stop_grace_period"].removesuffix("s")) > grace


def test_the_service_has_its_keys_from_a_folder_that_it_cannot_write(
    services: dict[str, Any],
) -> None:
    keys = Path(services["service"]["environment"]["FIRSTSIGHT_KEYS_FILE"])
    [folder] = [
        volume
        for volume in services["service"]["volumes"]
        if isinstance(volume, dict) and volume["target"] == str(keys.parent)
    ]
    assert folder["read_only"]
    assert "FIRSTSIGHT_ADMIN_TOKEN" not in services["service"]["environment"]
    for name in ("gateway", "prometheus", "redis"):
        assert "keys" not in str(services[name]), name


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis with the file that is mounted, but for its folder and its port."""
    port = free_port()
    words = [str(server_binary()), str(FOLDER / "redis.conf"), "--port", str(port)]
    words += ["--dir", str(tmp_path), "--bind", "127.0.0.1"]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait(timeout=10)


def test_its_redis_keeps_what_was_acknowledged(redis_url: str, tmp_path: Path) -> None:
    served = Served(tmp_path / "data", tiny_bundle(tmp_path / "bundles"), "--redis", redis_url)
    try:
        told = served.ask("GET", "/readyz")[1]
        assert (told["durability"], told["remedy"]) == ("fsync", None)
        assert served.ask("POST", "/items", {"id": "new", "topics": ["art"]})[1]["durable"]
        assert served.stop() == 0
    finally:
        served.kill()
    with redis.Redis.from_url(redis_url) as asked:
        assert asked.config_get("maxmemory")["maxmemory"] == str(1 << 30)


def test_prometheus_is_given_the_rules_where_it_looks_for_them(services: dict[str, Any]) -> None:
    mounted = dict(one.split(":")[:2] for one in services["prometheus"]["volumes"])
    config = yaml.safe_load((FOLDER / "monitoring" / "prometheus.yml").read_text("utf-8"))
    [pattern] = config["rule_files"]
    assert mounted["./monitoring/rules"] == pattern.removesuffix("/*.yml")
    assert list((FOLDER / "monitoring" / "rules").glob("*.yml"))
    assert config["scrape_configs"][0]["job_name"] == "firstsight"  # which the rules name


def test_grafana_is_given_its_dashboards_where_it_looks_for_them(services: dict[str, Any]) -> None:
    mounted = dict(one.split(":")[:2] for one in services["grafana"]["volumes"])
    folder = FOLDER / "monitoring" / "grafana" / "provisioning"
    assert mounted["./monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "firstsight.yml").read_text())["providers"]
    assert mounted["./monitoring/grafana/dashboards"] == provider["options"]["path"]
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
