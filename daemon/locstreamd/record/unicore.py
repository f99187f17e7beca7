"""The door to cameras written in Python, a part of pymmcore-plus that its authors call experimental.

Only the simulation depends on it; a camera under Micro-Manager does not. The main door, `mmcore`, is opened first: it
keeps pymmcore-plus from what a service must not do.
"""

from __future__ import annotations

from locstreamd.record import mmcore

# isort: split
from pymmcore_plus.experimental.unicore import CameraDevice, UniMMCore

__all__ = ["CameraDevice", "UniMMCore", "mmcore"]
