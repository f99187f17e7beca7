"""Finds Micro-Manager's device adapters and sees that they speak the same device interface as pymmcore."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from locstream.errors import SourceError
from locstreamd.record.mmcore import DEVICE_INTERFACE, VERSIONS, find_micromanager

LIBRARY_SUFFIXES = frozenset({".dll", ".so", ".0", ".dylib", ""})


def find_adapters(folder: Path | None = None) -> Path:
    """Return the folder whose adapters this pymmcore can load.

    Parameters
    ----------
    folder
        The only folder to look in; None for ``MICROMANAGER_PATH`` or else wherever pymmcore-plus looks.

    Raises
    ------
    SourceError
        There are no adapters, or all of them were built for another device interface.
    """
    if folder is None and os.environ.get("MICROMANAGER_PATH"):
        folder = Path(os.environ["MICROMANAGER_PATH"])
    folders = [folder] if folder is not None else [Path(path) for path in find_micromanager(return_first=False)]
    interfaces = {path: device_interface_of(path) for path in folders}
    for path, interface in interfaces.items():
        if interface == DEVICE_INTERFACE:
            return path
    others = [f"{path} has version {interface}" for path, interface in interfaces.items() if interface is not None]
    ours = f"pymmcore {VERSIONS['pymmcore']} needs version {DEVICE_INTERFACE}"
    if others:
        raise SourceError(
            f"Micro-Manager's device adapters do not match pymmcore: {ours} of the device interface, "
            + "; ".join(others),
            todo=f"install a Micro-Manager nightly of version {DEVICE_INTERFACE} (`mmcore install`), or a pymmcore "
            "whose fourth number is the adapters' version",
        )
    where = f"in {folder}" if folder is not None else "on this computer"
    raise SourceError(
        f"no Micro-Manager device adapters were found {where}; {ours} of the device interface",
        todo="install Micro-Manager (`mmcore install`) and give its folder as adapter_folder or MICROMANAGER_PATH",
    )


def device_interface_of(folder: Path) -> int | None:
    """Return the device interface version of the first adapter in a folder that tells it; None if none does."""
    for library in sorted(folder.glob("*mmgr_dal_*")):
        if library.suffix not in LIBRARY_SUFFIXES:
            continue
        try:
            version = ctypes.CDLL(str(library)).GetDeviceInterfaceVersion
        except (OSError, AttributeError):
            continue
        version.restype = ctypes.c_long
        return int(version())
    return None
