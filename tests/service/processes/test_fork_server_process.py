"""The supervisor's handle on the fork server: what goes wrong there is told, and not for good."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.processes import fork_server_process as module
from service.processes.control import Order
from service.processes.fork_server_process import ForkFailed, ForkServerProcess
from tests.service.test_supervisor import eventually, is_alive

APPLICATION = """
import time
def load(settings, *, served):
    settings["loads"].touch()
    time.sleep(settings["seconds"])
    return settings["loaded"]
def versions(loaded):
    loaded.touch()
    return []
"""


class Forks(ForkServerProcess):
    """A fork server of an application in a folder, and the ends of the loaders that it forked."""

    def __init__(self, folder: Path, timeout_s: float = 30.0) -> None:
        super().__init__("application_of_a_test", timeout_s)
        self._folder = folder
        self.ends: list[socket.socket] = []

    def end(self) -> None:
        for end in self.ends:
            end.close()
        super().end()

    def loader(self, name: str = "one", seconds: float = 0.0) -> int:
        """Fork one without workers, whose load takes so long."""
        files = {what: self._folder / f"{name}-{what}" for what in ("loads", "loaded")}
        channel, far_channel = socket.socketpair()
        lifeline, far_lifeline = socket.socketpair()
        self.ends += [lifeline, channel]
        order = Order(files | {"seconds": seconds}, 0, 1.0, 2.0, ())
        return self.fork(order, (socket.socket(), far_channel, far_lifeline))


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    found = tmp_path / "application_of_a_test.py"
    found.write_text(APPLICATION)
    return found


@pytest.fixture
def forks(application: Path) -> Iterator[Forks]:
    made = Forks(application.parent)
    yield made
    made.end()


def test_a_loader_leads_a_session_of_its_own_and_its_exit_code_is_told(forks: Forks) -> None:
    pid = forks.loader()
    assert os.getsid(pid) == os.getpgid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    assert forks.reap(pid) == -signal.SIGKILL
    assert forks.reap(pid) is None  # by now it is nobody's


def test_a_loader_whose_lifeline_is_cut_ends_well(forks: Forks) -> None:
    pid = forks.loader()
    forks.ends[0].close()
    assert forks.reap(pid) == 0


def test_an_application_that_cannot_be_imported_is_told_and_tried_again(
    forks: Forks, application: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    application.write_text("raise RuntimeError('half installed')")
    with pytest.raises(ForkFailed, match="cannot start a loader: the fork server ended, exit code"):
        forks.loader()
    assert "half installed" in capfd.readouterr().err
    application.write_text(APPLICATION + "# mended\n")
    assert forks.loader() > 0


def test_one_that_does_not_answer_is_ended_and_told(application: Path) -> None:
    application.write_text("import time\ntime.sleep(60)")
    forks = Forks(application.parent, timeout_s=0.5)
    with pytest.raises(ForkFailed, match=r"did not answer within 0\.5 s"):
        forks.loader()
    forks.end()


def test_its_end_takes_what_loads_with_it_and_leaves_what_serves(
    forks: Forks, tmp_path: Path
) -> None:
    serves, loads = forks.loader("serves"), forks.loader("loads", seconds=60)
    eventually((tmp_path / "serves-loaded").exists)
    eventually((tmp_path / "loads-loads").exists)
    ForkServerProcess.end(forks)
    eventually(lambda: not is_alive(loads))
    assert is_alive(serves)
    with pytest.raises(ForkFailed, match="cannot start a loader"):
        forks.loader()


@pytest.fixture
def begun(application: Path) -> Iterator[int]:
    """The process id of an interpreter that was begun."""
    with module.begun():
        yield module._begun[0].process.pid


def parent_of(pid: int) -> int:
    return int(psutil.Process(pid).ppid())


def test_an_interpreter_that_was_begun_is_the_first_fork_server_in_the_environment_as_it_is_then(
    begun: int, forks: Forks, application: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = application.with_name("seen")
    monkeypatch.setenv("SAID_LATER", "yes")
    application.write_text(
        f"{APPLICATION}\nimport os\nopen({str(seen)!r}, 'w').write(os.environ['SAID_LATER'])\n"
    )
    first = forks.loader()
    assert parent_of(first) == begun
    assert seen.read_text() == "yes"
    os.kill(begun, signal.SIGKILL)
    assert forks.reap(first) is None  # it hung up; its exit code may not be known yet
    assert parent_of(forks.loader("two")) != begun


def test_one_that_was_begun_imports_what_is_known_to_be_needed(begun: int) -> None:
    def is_imported() -> bool:
        return any("onnxruntime" in one.path for one in psutil.Process(begun).memory_maps())

    eventually(is_imported)


def test_one_that_imports_from_elsewhere_is_not_used(
    begun: int, forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "more")
    assert parent_of(forks.loader()) != begun
    assert not is_alive(begun)


def test_one_that_is_gone_is_not_used(begun: int, forks: Forks) -> None:
    os.kill(begun, signal.SIGKILL)
    eventually(lambda: not is_alive(begun))
    assert parent_of(forks.loader()) != begun


def test_one_that_nobody_takes_ends_with_the_block() -> None:
    with module.begun():
        pid = module._begun[0].process.pid
        assert is_alive(pid)
    assert not is_alive(pid)
