"""locstream: single-molecule localization microscopy while the camera is still running.

The library: no camera, no window, no service. Positions are in nm, the origin is the centre of
pixel (0, 0), x runs along columns and y down rows; see `locstream.localizations`.

>>> import locstream
>>> table = locstream.fit(frames, locstream.CameraCalibration(pixel_size_nm=130.0, offset_adu=100.0))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from locstream.kernel_cache import choose_kernel_cache

__version__ = "0.1.0"

choose_kernel_cache(__version__)  # before anything imports numba

if TYPE_CHECKING:
    from locstream.calibration import CameraCalibration
    from locstream.calibration.astigmatism import AstigmatismCalibration, read_astigmatism
    from locstream.fitting.fit import fit
    from locstream.fitting.options import FitOptions
    from locstream.stacks.open import open_stack
    from locstream.stream.client import connect

__all__ = [
    "AstigmatismCalibration",
    "CameraCalibration",
    "FitOptions",
    "__version__",
    "connect",
    "fit",
    "open_stack",
    "read_astigmatism",
]

_HOMES = {
    "AstigmatismCalibration": "locstream.calibration.astigmatism",
    "CameraCalibration": "locstream.calibration",
    "FitOptions": "locstream.fitting.options",
    "connect": "locstream.stream.client",
    "fit": "locstream.fitting.fit",
    "open_stack": "locstream.stacks.open",
    "read_astigmatism": "locstream.calibration.astigmatism",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, so that `locstream --version` does not wait for numba."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'locstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
