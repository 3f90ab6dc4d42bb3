"""Ties a child's life to its parent's, where the kernel can do it (Linux)."""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(signum: int, parent: int) -> None:
    """Have this process get `signum` when the process `parent` ends; 0 takes that back.

    Lasts through exec and not through fork. Elsewhere than on Linux it does nothing: there a
    child notices at its next look at the lifeline.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if signum and os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signum)
