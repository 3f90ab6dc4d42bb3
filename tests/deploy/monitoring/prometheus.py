"""A real Prometheus that asks real services, with our rules in half seconds instead of minutes."""

import http.client
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.monitoring.rules import RULES
from tests.end_to_end.processes import free_port

MINUTES = re.compile(r"(?<=\[)(\d+)m(?=\])|(?<=for: )(\d+)m$", re.MULTILINE)
WAIT_S = 40.0


def hastened() -> str:
    """Return the rules with each minute made half a second; 1 s behind the log counts as 30 s."""
    text = MINUTES.sub(
        lambda found: f"{500 * int(found[1] or found[2])}ms", RULES.read_text("utf-8")
    )
    assert text.count("firstsight_log_lag_seconds > 30") == 1
    return text.replace("firstsight_log_lag_seconds > 30", "firstsight_log_lag_seconds > 1")


class Prometheus:
    """The process, which knows of no service before it is told; ended by its id."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        (folder / "rules.yml").write_text(hastened())
        self._targets = folder / "targets.json"
        every = {"scrape_interval": "250ms", "scrape_timeout": "250ms"}
        config = {
            "global": {**every, "evaluation_interval": "250ms"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": "firstsight",
                    "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": "1s"}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        words = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=error",
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def ask_of(self, *ports: int) -> None:
        """Have it ask these services."""
        targets = [f"127.0.0.1:{port}" for port in ports]
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": targets}]))
        new.rename(self._targets)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(timeout=10)

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        told = self._ask("/api/v1/alerts")
        return {
            one["labels"]["alertname"] for one in told["data"]["alerts"] if one["state"] == "firing"
        }

    def wait_for(self, *names: str) -> None:
        """Wait until these alerts fire."""
        self._wait(lambda: set(names) - self.firing(), "do not fire")

    def wait_without(self, *names: str) -> None:
        """Wait until none of these alerts fires."""
        self._wait(lambda: set(names) & self.firing(), "do not clear")

    def _wait(self, left: Any, fault: str) -> None:
        until_s = time.monotonic() + WAIT_S
        names = None
        while time.monotonic() < until_s:
            try:
                names = left()
            except OSError:  # it has just been started
                names = {"prometheus"}
            if not names:
                return
            time.sleep(0.1)
        raise AssertionError(f"{names} {fault}; {self._ask('/api/v1/alerts')}")

    def _ask(self, path: str) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            line.request("GET", path)
            return json.loads(line.getresponse().read())
        finally:
            line.close()
