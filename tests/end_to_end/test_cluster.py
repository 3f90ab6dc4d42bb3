"""The real service on a real cluster: items, users, and another version made the current one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from service.rollout.pointer_store import read_pointer
from service.settings import Settings
from tests.end_to_end.processes import Served, recalled
from tests.service.store.servers import Cluster, eventually
from tests.tiny import tiny_bundle


def test_the_service_on_a_cluster(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster", 3, "--appendonly", "yes")
    bundle = tiny_bundle(tmp_path / "bundles")
    served = None
    try:
        served = Served(tmp_path / "served", bundle, "--redis", cluster.url, workers=2)
        for number in range(12):
            status, _ = served.ask("PUT", f"/users/u{number}", {"taste": {"art": 1.0}})
            assert status == 201
        status, posted = served.ask("POST", "/items", {"id": "new", "topics": ["art"]})
        assert (status, posted["durable"]) == (201, True)
        assert recalled(served, "new", after=posted["log_id"])
        for number in range(12):
            answer = served.ask("GET", f"/recall?user_id=u{number}&k=5")[1]
            assert (answer["state"], answer["degraded"]) == ("warm", [])
        assert served.ask("DELETE", "/users/u3")[0] == 204
        assert served.ask("GET", "/users/u3")[0] == 404

        settings = Settings.model_validate({"redis": cluster.url})
        pointer = read_pointer(settings)
        assert pointer is not None
        assert (pointer.generation, pointer.current) == (1, "tiny-1")
        tiny_bundle(tmp_path / "bundles", "tiny-2")
        command = [sys.executable, "-m", "firstsight", "bundle", "activate", "tiny-2"]
        environ = {**os.environ, "FIRSTSIGHT_BUNDLES": str(bundle.parent)}
        command += ["--redis", cluster.url]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        service = served
        eventually(lambda: service.ask("GET", "/version")[1]["version"] == "tiny-2")
        eventually(lambda: service.ask("GET", "/items/new")[1]["version"] == "tiny-2")
        assert recalled(served, "new")
        assert served.stop() == 0
    finally:
        if served is not None:
            served.kill()
        cluster.kill()


def test_the_url_of_one_server_is_refused_for_a_cluster_in_one_line(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster", 1)
    try:
        node = cluster.nodes[0]
        command = [sys.executable, "-m", "firstsight", "serve", "--redis", node.url, "--port", "0"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert ended.returncode == 3
        lines = [one for one in ended.stderr.splitlines() if not one.startswith("{")]
        assert len(lines) == 1, json.dumps(lines)
        assert f"give redis+cluster://{node.name}" in lines[0]
    finally:
        cluster.kill()
