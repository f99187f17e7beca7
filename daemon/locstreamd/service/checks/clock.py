"""The clock of the computer: the times of the frames come from it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

from locstreamd.service.checks.finding import Finding, ok, warning

NAME_CLOCK = "clock"

TIMESYNCD = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd once it has set the clock."""
TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nobody keeps."""


class KernelClock(NamedTuple):
    """What the kernel says of its clock."""

    synchronised: bool
    within_ms: float
    """Largest error it reckons with, ms."""


def check_clock() -> Finding:
    """See that somebody keeps the clock."""
    kernel = kernel_clock()
    if kernel is not None and kernel.synchronised:
        return ok(NAME_CLOCK, f"synchronised, within {kernel.within_ms:,.3g} ms")
    if TIMESYNCD.exists():
        return ok(NAME_CLOCK, "synchronised by systemd-timesyncd")
    todo = "switch on a time service (chrony, systemd-timesyncd); until then the times of frames are rough"
    if kernel is None:
        return warning(NAME_CLOCK, "this system does not say whether it is synchronised", todo)
    return warning(NAME_CLOCK, "not synchronised: nobody sets it", todo)


class _Timex(ctypes.Structure):
    """The head of the kernel's ``struct timex``; what is behind it is not looked at, but is written."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_clock() -> KernelClock | None:
    """Ask the kernel by adjtimex(2), changing nothing; None where it cannot or may not be asked."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except AttributeError:  # not Linux
        return None
    asked = _Timex(modes=0)
    state = adjtimex(ctypes.byref(asked))
    if state < 0:
        return None
    return KernelClock(state != TIME_ERROR, asked.maxerror / 1000)
