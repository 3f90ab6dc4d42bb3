"""What the Dockerfile promises, as far as its text tells; test_image.py runs its steps."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.processes.cpu import ADDED, NAME
from tests.deploy.dockerfile import ROOT, Dockerfile

IMAGES = ("service", "training")
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture
def ours() -> Dockerfile:
    return Dockerfile.ours()


def test_hadolint_has_nothing_to_say() -> None:
    told = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "")


def test_hadolint_would_say_it() -> None:
    bad = b"FROM debian\nRUN cd /tmp && sudo apt-get install curl\n"
    told = subprocess.run([HADOLINT, "-"], input=bad, capture_output=True)
    assert told.returncode == 1
    assert b"DL3004" in told.stdout


def test_service_is_what_is_built_unless_told_otherwise(ours: Dockerfile) -> None:
    assert [*ours.stages][-1] == "service"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_takes_nothing_of_the_compiler_but_what_was_made(
    ours: Dockerfile, image: str
) -> None:
    assert "compiler" not in [stage.name for stage in ours.chain(image)]
    copied = [value for name, value in ours.steps(image) if name == "COPY"]
    assert copied == [f"--from={image}-libraries /opt/firstsight /opt/firstsight"]
    assert not [value for name, value in ours.steps(image) if name == "RUN" and "apt" in value]


def test_torch_is_in_no_step_of_the_service(ours: Dockerfile) -> None:
    for image in ("service", "service-libraries"):
        assert not [value for _, value in ours.steps(image) if "torch" in value]


@pytest.mark.parametrize("image", IMAGES)
def test_a_container_is_one_tree_of_processes_of_nobody_in_particular(
    ours: Dockerfile, image: str
) -> None:
    user, _, group = ours.last(image, "USER").partition(":")
    assert int(user) >= 10_000  # by number, so that Kubernetes can tell it is not root
    assert int(group) >= 10_000
    assert ours.command(image)[0] == "firstsight"  # exec form: it gets SIGTERM itself
    assert "SHELL" not in {name for name, _ in ours.steps(image)}


def test_the_base_is_named_by_its_digest(ours: Dockerfile) -> None:
    others = {stage.base for stage in ours.stages.values()} - ours.stages.keys()
    assert others == {"${BASE}", "scratch"}
    assert re.search(r":3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}$", ours.arguments["BASE"])


STAGES = (
    *("compiler", "service-libraries", "training-libraries", "wheel", "training", "serving"),
    "inventory",
)


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_installed_that_no_hash_was_known_of(ours: Dockerfile, stage: str) -> None:
    steps = " ".join(ours.stages[stage].values("RUN"))
    calls = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&]*", steps)
    assert calls
    for call in calls:
        is_ours = "--no-index" in call or (call.endswith(" .") and "--no-build-isolation" in call)
        assert is_ours or "--require-hashes" in call, call
        if "wheel" not in call and not is_ours:  # built is hnswlib, and what we are
            assert "--only-binary :all:" in call, call


def test_each_lock_is_installed_where_it_was_copied_to(ours: Dockerfile) -> None:
    for stage, locks in {
        "compiler": {"build", "hnswlib"},
        "service-libraries": {"service"},
        "training-libraries": {"torch", "training"},
        "inventory": {"sbom"},
    }.items():
        copied = " ".join(ours.stages[stage].values("COPY"))
        used = " ".join(ours.stages[stage].values("RUN"))
        named = [set(re.findall(r"deploy/locks/(\w+)\.txt", text)) for text in (copied, used)]
        assert named == [locks, locks]


def test_what_hnswlib_is_built_for_is_what_the_service_checks(ours: Dockerfile) -> None:
    level = ours.arguments["CPU_LEVEL"]
    assert level in ADDED
    assert ours.environment("service", PATH="")[NAME] == level
    for stage in ("compiler", "base"):
        assert "CPU_LEVEL" in ours.stages[stage].values("ARG")


def test_what_is_written_is_a_volume(ours: Dockerfile) -> None:
    environ = ours.environment("service", PATH="")
    written = {environ["FIRSTSIGHT_BUNDLES"], environ["FIRSTSIGHT_DATA_FOLDER"]}
    assert set(json.loads(ours.last("service", "VOLUME"))) == written


def test_huge_pages_are_asked_for_and_nobody_is_phoned(ours: Dockerfile) -> None:
    environ = ours.environment("service", PATH="")
    assert environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"  # of onnxruntime
