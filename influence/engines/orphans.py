"""Imported by the fork server alone: it and everything it forks end when the program does, however that ended.

A killed program cannot close its engines, and an engine left behind would keep gigabytes and a core busy. Linux tells a
process of its parent's death by a signal of its choice (prctl's PR_SET_PDEATHSIG); elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask for SIGKILL at the parent's end; a fork does not inherit the wish, so every child asks again."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if sys.platform == "linux":
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
