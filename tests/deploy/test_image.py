"""The image `service`, rehearsed: the steps of the Dockerfile are run, but in a folder.

What an engine adds (namespaces, layers, the base image) is not tried here.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from packaging.utils import canonicalize_name

from deploy.audit.__main__ import locked
from deploy.lock import read_project
from deploy.size import MIB, sizes
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.end_to_end.processes import free_port
from tests.tiny import tiny_bundle

BUILT = ("compiler", "service-libraries", "wheel")
MOST_MIB = 305
"""With a base of some 130 MB, which no engine was at hand to measure, that makes 450 MB."""
IN_BASE = re.compile(  # of C and C++, which Debian itself is made with; and zlib, which Python is
    r"(lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|z)|ld-linux-x86-64)\.so\.\d+"
)


class Image:
    """A folder that stands for the root of the image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = Dockerfile.ours()
        self.site = root / "opt/firstsight/lib/python{}.{}/site-packages".format(*sys.version_info)

    def moved(self, text: str) -> str:
        """Put absolute paths of ours below the folder."""
        ours = r"(?<![\w./-])/(opt/firstsight|hnswlib|wheels|build|bundles|data)\b"
        return re.sub(ours, rf"{self.root}/\1", text)

    def build(self) -> None:
        """Run what the stages run, but for apt-get and accounts, which this machine has."""
        context = self.root / "build"
        context.mkdir(parents=True)
        for name in context_files():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, context / name)
        for stage in BUILT:
            for command in self.file.stages[stage].values("RUN"):
                if "apt-get" not in command:
                    self.run(stage, command)
        (install,) = self.file.stages["serving"].values("RUN")
        self.run("serving", install.partition("target=/wheels")[2])

    def describe(self) -> Any:
        """Run what lists what is in it, and return what the target `sbom` gives."""
        for command in self.file.stages["inventory"].values("RUN"):
            self.run("inventory", command)
        [(_, copied)] = self.file.stages["sbom"].steps
        _, path, _ = copied.split()
        return json.loads(Path(self.moved(path)).read_bytes())

    def run(self, stage: str, command: str) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {"PATH": path} | self.file.environment(stage, PATH=path)
        kept = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
        environ = kept | environ | {"CPU_LEVEL": self.file.arguments["CPU_LEVEL"]}
        told = subprocess.run(
            ["sh", "-ec", self.moved(command)],
            cwd=self.root / "build",
            env=environ,
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr[-2000:]


def context_files() -> list[str]:
    """Return the files that .dockerignore lets into the build."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *let_in],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.splitlines()


@pytest.fixture
def image() -> Iterator[Image]:
    """The built image, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="firstsight-image-") as folder:
        asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        told = subprocess.run(
            [*asked, "--dest", f"{folder}/asked", "circuitbreaker"], capture_output=True, text=True
        )
        if told.returncode:
            pytest.skip(f"pip reaches no index: {told.stderr.strip().splitlines()[-1]}")
        image = Image(Path(folder))
        image.build()
        yield image


CONTAINED = ("unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
READ_ONLY = """
for one in data tmp; do mount --bind "$ROOT/$one" "$ROOT/$one"; done
mount -o remount,ro,bind /
exec "$@"
"""


class Container:
    """What an engine would start: ENTRYPOINT and CMD, with ENV, as process 1 on a read-only root.

    Its bundles are read-only too, as in compose.yaml: another one has published there what came in.
    Where this machine lets nobody make namespaces it is a plain process.
    """

    def __init__(self, image: Image, incoming: Path) -> None:
        self.image = image
        self.port = free_port()
        told = image.file.environment("service", PATH="/usr/sbin:/usr/bin:/sbin:/bin")
        self.environ = {name: image.moved(text) for name, text in told.items()}
        self.environ |= {"FIRSTSIGHT_PORT": str(self.port), "FIRSTSIGHT_HOST": "127.0.0.1"}
        self.environ |= {"ROOT": str(image.root), "TMPDIR": str(image.root / "tmp")}
        for name in ("data", "bundles", "tmp"):
            (image.root / name).mkdir()
        assert self.start(["firstsight", "bundle", "publish", str(incoming)]).wait(timeout=60) == 0
        self.environ["FIRSTSIGHT_BUNDLE"] = str(image.root / "bundles" / incoming.name)
        self.is_contained = self.start([*CONTAINED, "true"]).wait(timeout=10) == 0
        contained = [*CONTAINED, "sh", "-ec", READ_ONLY, "sh"] if self.is_contained else []
        self.process = self.start([*contained, *image.file.command("service")])

    def start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        program = shutil.which(command[0], path=self.environ["PATH"])
        if program is None:
            program = "false"
        folder = self.image.root / "data"
        return subprocess.Popen([program, *command[1:]], env=self.environ, cwd=folder)

    def is_healthy(self) -> bool:
        return self.start(self.image.file.health_check("service")).wait(timeout=10) == 0

    def family(self) -> list[psutil.Process]:
        """Return the service's processes, its supervisor first."""
        top = psutil.Process(self.process.pid)
        found = [top, *top.children(recursive=True)]
        return found[1:] if self.is_contained else found

    def stop(self) -> int:
        self.family()[0].terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [*self.family(), self.process]:
                one.kill()
        self.process.wait(timeout=20)


@pytest.fixture
def container(image: Image) -> Iterator[Container]:
    container = Container(image, tiny_bundle(image.root / "incoming"))
    try:
        yield container
    finally:
        container.kill()


def test_the_image_serves_from_what_is_in_it_and_nothing_else(container: Container) -> None:
    image, url = container.image, f"http://127.0.0.1:{container.port}"
    assert not container.is_healthy()
    until = time.monotonic() + 30
    while not container.is_healthy():
        assert time.monotonic() < until
        assert container.process.poll() is None

    answer = httpx.get(f"{url}/recall", params={"user_id": "u1", "k": 3})
    assert (answer.status_code, len(answer.json()["items"])) == (200, 3)
    posted = httpx.post(f"{url}/items", json={"id": "new", "topics": ["art"]}).json()
    assert posted["durable"]
    assert posted["searchable"]

    mapped = {one.path for process in container.family() for one in process.memory_maps()}
    assert str(image.site / HNSWLIB) in mapped
    assert not [path for path in mapped if path.startswith("/") and "torch" in Path(path).name]
    assert container.stop() == 0
    assert not [*(image.root / "tmp").iterdir()]

    assert_holds_what_it_should(image)
    assert_is_described(image)


HNSWLIB = f"hnswlib.cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu.so"


def assert_holds_what_it_should(image: Image) -> None:
    """Neither torch nor the tests; hnswlib for the level it says; no library the base lacks."""
    sized = dict(sizes(image.site))
    assert "hnswlib" in sized
    assert not {"torch", "onnx", "pip", "pytest"} & sized.keys()
    kept = {one for one in image.site.parents[2].rglob("*") if not one.is_symlink()}
    assert sum(one.stat().st_size for one in kept if one.is_file()) / MIB < MOST_MIB
    assert not [one for one in kept if one.name == "tests"]
    assert not [path for path in image.site.iterdir() if path.name in ("tests", "benchmarks")]

    code = objdump("--disassemble", image.site / HNSWLIB)
    assert "%ymm" in code  # AVX, of level v3
    assert "%zmm" not in code  # AVX-512, of level v4, which this machine may have

    own = [path for path in image.site.rglob("*") if re.search(r"\.so(\.\d+)*$", path.name)]
    needed = {name for path in own for name in NEEDED.findall(objdump("-p", path))}
    assert not {
        name for name in needed - {path.name for path in own} if not IN_BASE.fullmatch(name)
    }


def assert_is_described(image: Image) -> None:
    """Of its bill of materials: it is of what we are, and holds each library as it was locked."""
    told = image.describe()
    version = read_project()["project"]["version"]  # type: ignore[index]
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    root = told["metadata"]["component"]
    assert (root["name"], root["version"]) == ("firstsight", version)
    found = {canonicalize_name(one["name"]): one["version"] for one in told["components"]}
    needed = {canonicalize_name(one): of for one, of in locked(("service", "hnswlib")).items()}
    assert len(needed) > 30
    assert found == needed
    for one in told["components"]:  # by which advisories are looked up
        assert one["purl"] == f"pkg:pypi/{canonicalize_name(one['name'])}@{one['version']}"


NEEDED = re.compile(r"NEEDED\s+(\S+)")


def objdump(*arguments: str | Path) -> str:
    return subprocess.run(
        ["objdump", *arguments], capture_output=True, text=True, check=True
    ).stdout
