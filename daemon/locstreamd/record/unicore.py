"""The door to cameras written in Python, a part of pymmcore-plus that its authors call experimental.

Only the simulation depends on it; a camera under Micro-Manager does not.
"""

from __future__ import annotations

from locstreamd.record import mmcore as _first_the_main_door  # noqa: F401  # it tames pymmcore-plus

# isort: split
from pymmcore_plus.experimental.unicore import CameraDevice, UniMMCore

__all__ = ["CameraDevice", "UniMMCore"]
