"""A camera under Micro-Manager, named by a configuration file."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from locstream.errors import ConfigError, SourceError
from locstream.settings import Settings

if TYPE_CHECKING:
    from locstreamd.record.core_source import CoreSource
    from locstreamd.record.mmcore import CMMCorePlus

MB = 1024 * 1024
"""What Micro-Manager calls an MB, bytes."""


class Roi(Settings):
    """A region of the camera's chip."""

    x: int = Field(ge=0)
    """First column, px, from 0."""
    y: int = Field(ge=0)
    """First row, px, from 0."""
    width: int = Field(ge=1)
    """Columns, px."""
    height: int = Field(ge=1)
    """Rows, px."""


class MicroManagerOptions(Settings):
    """The camera, and what is set on it before the first frame."""

    config_file: Path
    """Micro-Manager's hardware configuration, a .cfg file."""
    camera: str = ""
    """Label of the camera in that file. Empty: the one the file makes the core's camera."""
    exposure_ms: float | None = Field(None, gt=0)
    """Exposure, ms. Not given: as the configuration leaves it."""
    roi: Roi | None = None
    """Region of the chip. Not given: as the configuration leaves it."""
    properties: dict[str, dict[str, str | int | float]] = Field({})
    """Properties to set: device label, then property, then value. Applied in the order given, before the region."""
    frames: int | None = Field(None, ge=1)
    """Frames to take, those included that the camera drops. Not given: until stopped."""
    frame_counter: str = ""
    """Metadata tag in which the camera's driver counts frames, for example PVCAM-FMD-FrameNr. With it, frames lost
    before they reach Micro-Manager are seen; without it, only those lost in Micro-Manager."""
    restarts: int = Field(0, ge=0, le=1000)
    """How often the camera is started again where it stops unasked (its buffer was full, it reports an error, the link
    was lost for a moment), before the run ends as faulted. Frame numbers go on behind the gap; how many frames are
    missing is counted by frame_counter where that counts on, else estimated from the time, and noted as an event."""
    buffer_mb: int = Field(1000, ge=1)
    """Memory for frames that wait to be taken, MB: 1.2 s of 2048 × 2048 px at 100 frames per second. All of it is
    taken when the camera starts, which then takes about 0.3 s per 1000 MB; a quarter of the computer's memory at
    most."""
    adapter_folder: Path | None = None
    """Folder of Micro-Manager's device adapters. Not given: where pymmcore-plus finds them."""
    log_file: Path | None = None
    """File for Micro-Manager's own log, which says more about a camera in trouble. Not given: none is written."""


def open_micromanager(options: MicroManagerOptions) -> CoreSource:
    """Load the configuration and get its camera ready.

    Raises
    ------
    ConfigError
        A file, device, property or value named in the options does not exist or is refused.
    SourceError
        Micro-Manager's adapters are missing or do not match, or the hardware does not answer.
    """
    config_file = options.config_file.expanduser()
    if not config_file.is_file():
        raise ConfigError(
            f"there is no Micro-Manager configuration {config_file}",
            todo="give the .cfg file that Micro-Manager loads with this microscope as config_file",
        )
    # imported where a camera is opened: pymmcore-plus takes time to load and nothing else needs it
    from locstreamd.record import camera_setup, mmcore
    from locstreamd.record.adapters import find_adapters
    from locstreamd.record.core_source import CoreSource

    core = mmcore.CMMCorePlus(mm_path=str(find_adapters(options.adapter_folder)))
    with ExitStack() as on_error:
        on_error.callback(mmcore.release, core)
        try:
            camera_setup.load(core, config_file, options.log_file)
            camera_setup.choose_camera(core, options.camera)
            warnings = _apply(options, core)
            info = camera_setup.describe(core)
        except mmcore.CORE_ERRORS as error:
            raise SourceError(
                f"the camera of {config_file} does not answer: {camera_setup.one_line(error)}",
                todo="see that it is on and connected, and try the same file in Micro-Manager",
            ) from error
        buffer_mb = affordable_mb(options.buffer_mb, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        if buffer_mb < options.buffer_mb:
            warnings.append(
                f"the camera buffer has {buffer_mb:,} MB instead of {options.buffer_mb:,} MB: "
                "it takes a quarter of this computer's memory at most"
            )
        details = {"configuration": str(config_file), **info.details}
        info = replace(info, frames=options.frames, details=details, warnings=tuple(warnings))
        source = CoreSource(core, info, buffer_mb=buffer_mb, frame_counter=options.frame_counter)
        on_error.pop_all()
        return source


def _apply(options: MicroManagerOptions, core: CMMCorePlus) -> list[str]:
    """Set what the options ask for; return sentences where the camera took something else."""
    from locstreamd.record import camera_setup

    camera_setup.set_properties(core, options.properties)
    warnings = []
    if (roi := options.roi) is not None:
        warnings += camera_setup.set_roi(core, roi.x, roi.y, roi.width, roi.height)
    if options.exposure_ms is not None:
        warnings += camera_setup.set_exposure(core, options.exposure_ms)
    return warnings


def affordable_mb(wanted_mb: int, memory_bytes: int) -> int:
    """Return the size of the camera buffer: as wanted, but a quarter of the memory at most and 1 MB at least."""
    return max(min(wanted_mb, memory_bytes // (4 * MB)), 1)
