"""Work that may wait gives way to processes that answer requests."""

import atexit
import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from service.child.parent_death import die_with_parent

logger = logging.getLogger(__name__)

AUTOGROUP = Path("/proc/self/autogroup")
GIVES_WAY = 19
"""The nice value of such work's session: of a core that both want it has a seventieth.

Over a rollout the p99 of recalls was 4.8 and 5.4 times that of before where it had a third (5), and
2.3 to 4.5 times in four runs with this; until a version was served it took as long.
"""
IN_SESSION = 5
"""The nice value within a session, which a process cannot take back."""
LOOK_S, LEAST = 1.0, 0.2
"""How often it is looked at, and the share of a core with which the work still gets on. On a
machine that has no such moments it must end some time, so there it gives way no longer."""
PATIENCE_S = 1.0


@contextlib.contextmanager
def yielding() -> Iterator[None]:
    """Have this session give way for a while, where the kernel shares cores out by session.

    There (Linux with autogroups, outside of containers that have a share of their own) the nice
    value of a process counts only within its session, and the session's own can be set back
    without a privilege, which that of a process cannot. For a main thread, with SIGALRM: another
    thread would be in the way of a fork.
    """
    before = signal.getsignal(signal.SIGALRM)
    is_set = _give_way()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if is_set and not _set(0):
            logger.warning("priority not restored")


def yield_for_good() -> None:
    """Have this process give way until it ends: for a command that a user runs beside a service."""
    os.nice(IN_SESSION)
    _give_way()
    # The interpreter lets go of its handlers at its end, and an alarm would end it before.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


def yield_alone() -> None:
    """Have this process give way until it ends, in a session of its own, so that no other does.

    For a child that answers nobody any more, of a parent who leads their process group. Who kills
    that group would miss it from now on; so it is killed when its parent ends. Does nothing where
    the parent is gone, or where cores are not shared by session.
    """
    if not AUTOGROUP.is_file() or os.getpgrp() != os.getppid():
        return
    die_with_parent(signal.SIGKILL, os.getppid())
    os.setsid()
    _give_way()
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


def _give_way() -> bool:
    """Give way until too little is left to get on; say whether there is a session to do so."""
    spent_s = time.process_time()

    def look(*_: object) -> None:
        nonlocal spent_s
        before_s, spent_s = spent_s, time.process_time()
        if spent_s - before_s < LEAST * LOOK_S:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _set(0)

    is_set = _set(GIVES_WAY)
    if is_set:
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    return is_set


def _set(nice: int) -> bool:
    """Set the nice value of this process' own session; False where there is none.

    That of whoever called the command is left alone. The kernel takes it from unprivileged
    processes ten times a second, whoever they are.
    """
    if os.getsid(0) != os.getpid():
        return False
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            AUTOGROUP.write_text(str(nice))
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
            return False
        except OSError:
            return False
        return True
