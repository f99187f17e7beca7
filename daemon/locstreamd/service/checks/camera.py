"""The camera and Micro-Manager: do the versions match, does it answer, how long does its buffer hold.

The camera is opened and closed and takes no picture: a sequence would open the shutter and bleach the sample.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from locstream.calibration.search import camera_label
from locstream.errors import LocstreamError, SourceError
from locstream.stacks.source import SourceInfo
from locstream.stream.runtime import Connection
from locstreamd.record.micromanager import MB, MicroManagerOptions, affordable_mb
from locstreamd.service.cameras import Fallback, calibration_for
from locstreamd.service.checks.finding import Finding, Level, ok, problem, refused, warning
from locstreamd.service.config import Config
from locstreamd.service.depth import fit_for
from locstreamd.service.sources import open_source

NAME_CAMERA = "camera"
NAME_BUFFER = "camera buffer"
PIXEL_BYTES = 2
HOLDS_WELL_S = 1.0
"""What a buffer should hold: disks and networks do pause for some tenths of a second."""
HOLDS_S = 0.2
"""Less than this, and the first pause overruns it."""


class Demand(NamedTuple):
    """What a camera, as it is set, asks of the computer."""

    width: int
    height: int
    frames_per_s: float | None
    """None where the camera tells neither interval nor exposure."""

    @property
    def frame_bytes(self) -> int:
        """Size of a frame in memory and in the raw stack, bytes."""
        return PIXEL_BYTES * self.width * self.height

    @property
    def bytes_per_s(self) -> float | None:
        """What the raw stack grows by, bytes per second."""
        return None if self.frames_per_s is None else self.frame_bytes * self.frames_per_s

    def __str__(self) -> str:
        rate = "at an unknown rate" if self.frames_per_s is None else f"at {self.frames_per_s:,.4g} frames/s"
        return f"{self.width} × {self.height} px {rate}"


def demand_of(info: SourceInfo) -> Demand:
    """Return what a camera asks; its rate is taken from the interval, else from the exposure (the highest rate)."""
    interval_ms = info.interval_ms or info.exposure_ms
    return Demand(info.width, info.height, 1000 / interval_ms if interval_ms else None)


def check_adapters(options: MicroManagerOptions | None) -> Finding:
    """See that Micro-Manager's device adapters are there and speak the device interface of pymmcore.

    Parameters
    ----------
    options
        ``[micromanager]``; None where no camera is configured, and missing adapters are no more than a warning.
    """
    from locstreamd.record.adapters import find_adapters
    from locstreamd.record.mmcore import DEVICE_INTERFACE, VERSIONS

    name = "Micro-Manager"
    try:
        folder = find_adapters(options.adapter_folder if options is not None else None)
    except SourceError as error:
        return refused(name, error, Level.PROBLEM if options is not None else Level.WARNING)
    versions = ", ".join(f"{package} {version}" for package, version in VERSIONS.items())
    return ok(name, f"{versions}; device interface {DEVICE_INTERFACE} on both sides; adapters in {folder}")


class Camera(NamedTuple):
    """What became of opening a camera; `info` and `fallback` are None where it was not opened."""

    finding: Finding
    info: SourceInfo | None = None
    fallback: Fallback | None = None


def open_camera(config: Config, here: Sequence[Connection]) -> Camera:
    """Open the configuration's source, hear what it says of itself, and close it again.

    Parameters
    ----------
    config
        Names the camera, or a simulation.
    here
        What runs on this computer: it may hold the camera, which is then left alone.
    """
    if config.micromanager is not None and here:
        found = f"not opened, because {here[0].name} runs (process {here[0].pid}) and may hold it"
        return Camera(warning(NAME_CAMERA, found, "run the doctor again when nothing is being acquired"))
    try:
        source, fallback = open_source(config)
    except LocstreamError as error:
        return Camera(refused(NAME_CAMERA, error))
    with closing(source):
        info = source.info
    kind = "answers" if config.micromanager is not None else "is simulated"
    exposure = "exposure unknown" if info.exposure_ms is None else f"exposure {info.exposure_ms:g} ms"
    found = f"{camera_label(info)} {kind}: {demand_of(info)}, {exposure}"
    if info.warnings:
        todo = "correct the settings that it did not take as they were given"
        return Camera(warning(NAME_CAMERA, f"{found}; {'; '.join(info.warnings)}", todo), info, fallback)
    return Camera(ok(NAME_CAMERA, found), info, fallback)


def check_calibration(config: Config, info: SourceInfo, fallback: Fallback | None) -> Finding:
    """See that the camera that is there has a calibration."""
    name = "calibration"
    try:
        calibration, warnings, _ = calibration_for(config, info, fallback)
        depth = fit_for(config, calibration.pixel_size_nm).astigmatism is not None
    except LocstreamError as error:
        return refused(name, error)
    if warnings:
        todo = "name one in a [[camera]] table; `locstream calibrate-camera` makes it from dark and light frames"
        return warning(name, "; ".join(sentence.partition(". ")[0] for sentence in warnings), todo)
    kind = "numbers for the whole chip" if calibration.map_shape is None else "a map with a value for every pixel"
    lens = "; an astigmatic lens gives depth" if depth else ""
    return ok(name, f"{kind}; a pixel is {calibration.pixel_size_nm:g} nm in the sample{lens}")


def check_buffer(options: MicroManagerOptions, demand: Demand) -> Finding:
    """See how long the camera's buffer lasts while nobody takes frames from it."""
    buffer_mb = affordable_mb(options.buffer_mb, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    frames = buffer_mb * MB // demand.frame_bytes
    if demand.frames_per_s is None:
        found = f"{buffer_mb:,} MB hold {frames:,} frames of {demand.width} × {demand.height} px; the rate is unknown"
        return warning(NAME_BUFFER, found, "set exposure_ms, so that the time it holds can be worked out")
    seconds = frames / demand.frames_per_s
    found = f"{buffer_mb:,} MB hold {seconds:.3g} s: {frames:,} frames, {demand}"
    larger_mb = int(HOLDS_WELL_S * demand.frames_per_s * demand.frame_bytes / MB) + 1
    todo = f"set buffer_mb = {larger_mb:,} or more for {HOLDS_WELL_S:g} s (a quarter of the memory at most), or take "
    todo += "a smaller region or longer exposures"
    if seconds < HOLDS_S:
        return problem(NAME_BUFFER, found, todo)
    if seconds < HOLDS_WELL_S:
        return warning(NAME_BUFFER, found, todo)
    return ok(NAME_BUFFER, found)
