"""The one door to pymmcore-plus, which does three things at import that a service must not do.

It makes a log folder in the user's home and writes a file there (a service without a home dies of it):
switched off unless ``PYMM_LOG_FILE`` names a file. It sets the *root* logger to DEBUG: put back. It
chooses Qt signals where a QApplication happens to exist: told to use psygnal. What has to be done before
is done by `before_mmcore`. Import pymmcore-plus from here only, and only in the process that owns the camera.
"""

from __future__ import annotations

import logging

from locstreamd.record.before_mmcore import ROOT_LEVEL

# isort: split
import pymmcore
import pymmcore_plus
from pymmcore_plus import CMMCorePlus, DeviceType, Metadata, find_micromanager

logging.getLogger().setLevel(ROOT_LEVEL)

DEVICE_INTERFACE = int(pymmcore.__version__.split(".")[3])
"""Version of Micro-Manager's device interface that this pymmcore speaks; the adapters' must be the same."""

VERSIONS = {"pymmcore": pymmcore.__version__, "pymmcore-plus": pymmcore_plus.__version__}

CORE_ERRORS = (RuntimeError, ValueError, OSError, MemoryError)
"""What the core raises when a device refuses; the text is Micro-Manager's own."""


def is_python_camera(core: CMMCorePlus) -> bool:
    """Say whether the core's camera is written in Python; its buffer is then another one, also in Python."""
    is_python_device = getattr(core, "isPyDevice", None)  # which only a core for Python devices has
    return is_python_device is not None and bool(is_python_device(core.getCameraDevice()))


def release(core: CMMCorePlus) -> None:
    """Unload every device and cut the core's ties to Python. The core cannot be used afterwards.

    The core delivers its events from a thread of its own, and the interpreter aborts if one is under
    way while it exits. Without a callback there is none. The subclass forbids the call, the base class
    does not.
    """
    core.unloadAllDevices()
    pymmcore.CMMCore.registerCallback(core, None)


__all__ = [
    "CORE_ERRORS",
    "DEVICE_INTERFACE",
    "VERSIONS",
    "CMMCorePlus",
    "DeviceType",
    "Metadata",
    "find_micromanager",
    "is_python_camera",
    "release",
]
