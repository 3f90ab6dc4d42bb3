import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

AUTOGROUP = Path("/proc/self/autogroup")
KERNEL = Path("/proc/sys/kernel/sched_autogroup_enabled")


def is_shared_by_session() -> bool:
    """Whether this process is in an autogroup: the file is there and empty where it is in none."""
    enabled = KERNEL.is_file() and KERNEL.read_text().strip() == "1"
    return enabled and AUTOGROUP.is_file() and AUTOGROUP.read_text() != ""


needs_autogroups = pytest.mark.skipif(
    not is_shared_by_session(), reason="this kernel does not share cores out by session"
)
SHOW = (
    "import os, pathlib; own = lambda: pathlib.Path('/proc/self/autogroup').read_text().split()[-1]"
)


# On a busy machine they would soon not get on.
IMPORTS = """
import service.child.yielding as module
from service.child.yielding import yield_for_good, yielding
module.LOOK_S = 600
"""


def said(*lines: str, own_session: bool) -> list[str]:
    """Run lines of Python in a process that may lead a session, and return what it prints."""
    code = "\n".join([SHOW, IMPORTS, *lines])
    done = subprocess.run(
        [sys.executable, "-c", code],
        start_new_session=own_session,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@needs_autogroups
def test_a_session_gives_way_for_a_while_and_not_after_even_if_the_work_failed() -> None:
    lines: tuple[str, ...] = (
        "print(own())",
        "try:",
        "  with yielding():",
        "    print(own())",
        "    1 / 0",
    )
    lines += ("except ZeroDivisionError:", "  print(own())")
    assert said(*lines, own_session=True) == ["0", "19", "0"]


@needs_autogroups
@pytest.mark.parametrize(("least", "after"), [(1000, "0"), (0, "19")])
def test_it_gives_way_as_long_as_it_gets_on(least: int, after: str) -> None:
    lines = (
        "import time",
        f"module.LOOK_S, module.LEAST = 0.05, {least}",
        "with yielding():",
        "  until = time.monotonic() + 0.5",
        "  while time.monotonic() < until: pass",
        "  print(own())",
    )
    assert said(*lines, own_session=True) == [after]


@needs_autogroups
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_it_needs_no_privilege() -> None:
    lines = (
        "import ctypes",
        "os.setuid(65534)",
        "ctypes.CDLL(None).prctl(4, 1)",
    )  # PR_SET_DUMPABLE
    shown = ("with yielding():", "  print(own())", "print(own())")
    assert said(*lines, *shown, own_session=True) == ["19", "0"]


@needs_autogroups
def test_the_session_of_another_process_is_left_alone() -> None:
    before = AUTOGROUP.read_text()
    lines = ("with yielding():", "  print(own())", "yield_for_good()", "print(own())")
    own = before.split()[-1]
    assert said(*lines, own_session=False) == [own, own]
    assert AUTOGROUP.read_text() == before


@needs_autogroups
def test_a_command_that_leads_a_session_gives_way_to_every_other() -> None:
    assert said("yield_for_good()", "print(own())", own_session=True) == ["19"]


def test_a_command_gives_way_to_the_others_of_its_session() -> None:
    lines = ("before = os.nice(0)", "yield_for_good()", "print(os.nice(0) - before)")
    assert said(*lines, own_session=False) == ["5"]


@needs_autogroups
def test_a_command_that_leads_a_session_ends_as_it_would_have() -> None:
    lines = (
        "import time",
        "module.LOOK_S, module.LEAST = 0.001, 0",
        "yield_for_good()",
        "class Slow:",
        "  def __del__(self): [None for _ in range(10**7)]",
        "kept = Slow()",
    )
    assert said(*lines, own_session=True) == []


ALONE = """
import signal, subprocess, sys, time
reading, writing = os.pipe()
if (child := os.fork()) == 0:
    module.yield_alone()
    os.write(writing, own().encode())
    time.sleep(60)
print(os.read(reading, 9).decode(), own(), flush=True)
"""


@needs_autogroups
def test_one_of_a_group_that_gives_way_alone_leaves_the_others_as_they_were() -> None:
    assert said(ALONE, "os.kill(child, signal.SIGKILL)", own_session=True) == ["19", "0"]


@needs_autogroups
def test_it_ends_with_its_parent_whose_group_it_has_left() -> None:
    code = "\n".join([SHOW, IMPORTS, ALONE, "print(child, flush=True); time.sleep(60)"])
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().split() == [b"19", b"0"]
        child = int(parent.stdout.readline())
        os.killpg(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)


@needs_autogroups
def test_one_whose_parent_leads_no_group_of_theirs_stays_in_it() -> None:
    lines = ("module.yield_alone()", "print(own(), os.getsid(0) == os.getpid())")
    assert said(*lines, own_session=True) == ["0", "True"]
