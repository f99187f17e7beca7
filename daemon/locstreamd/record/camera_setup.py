"""Gets a camera under Micro-Manager ready, each refusal in one sentence, and writes down what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from locstream.errors import ConfigError, SourceError
from locstream.stacks.source import SourceInfo
from locstreamd.record.mmcore import CORE_ERRORS, VERSIONS, CMMCorePlus, DeviceType

SERIAL_NUMBER_PROPERTIES = ("serialnumber", "cameraserialnumber", "serialno", "serial", "cameraid")
"""How adapters call it, in lower case without spaces and signs; the first that exists is taken."""
NAME_PROPERTY = "CameraName"
INTERVAL_PROPERTY = "ActualInterval-ms"
BINNING_PROPERTY = "Binning"


def load(core: CMMCorePlus, config_file: Path, log_file: Path | None = None) -> None:
    """Load a hardware configuration.

    Raises
    ------
    ConfigError
        The log file cannot be written, or the configuration names an adapter that is not installed.
    SourceError
        A device does not load or does not answer.
    """
    if log_file is not None:
        try:
            core.setPrimaryLogFile(str(log_file))
        except CORE_ERRORS as error:
            raise ConfigError(f"the log file {log_file} cannot be written: {error}") from error
    _check_adapters(core, config_file)
    try:
        core.loadSystemConfiguration(config_file)
    except CORE_ERRORS as error:
        raise SourceError(
            f"Micro-Manager could not load {config_file}: {one_line(error)}",
            todo="see that the device is on, connected, and not in use by another program; "
            "try the same file in Micro-Manager",
        ) from error


def _check_adapters(core: CMMCorePlus, config_file: Path) -> None:
    installed = core.getDeviceAdapterNames()
    for number, line in enumerate(config_file.read_text("utf-8", errors="replace").splitlines(), 1):
        command, *words = (word.strip() for word in line.split(","))
        if command == "Device" and len(words) == 3 and words[1] not in installed:
            raise ConfigError(
                f"{config_file}, line {number}: the device {words[0]!r} needs the adapter {words[1]!r}, which is not "
                f"among those installed: {', '.join(sorted(installed))}",
                todo="install a Micro-Manager that has this adapter and give its folder as adapter_folder "
                "(the adapters found first are in " + ", ".join(core.getDeviceAdapterSearchPaths()) + ")",
            )


def choose_camera(core: CMMCorePlus, label: str) -> None:
    """Make a device the core's camera; with an empty label, see that it has one.

    Raises
    ------
    ConfigError
        There is no such camera; the message names those that are.
    """
    cameras = core.getLoadedDevicesOfType(DeviceType.Camera)
    chosen = label or core.getCameraDevice()
    if chosen not in cameras:
        there = f"the cameras are {', '.join(cameras)}" if cameras else "no camera is there at all"
        what = f"there is no camera {label!r}" if label else "the configuration does not say which device is its camera"
        raise ConfigError(f"{what}; {there}", todo="give the label of one of its cameras as camera" if cameras else "")
    core.setCameraDevice(chosen)


def set_properties(core: CMMCorePlus, properties: Mapping[str, Mapping[str, str | int | float]]) -> None:
    """Set properties of devices.

    Raises
    ------
    ConfigError
        A device or property does not exist, cannot be set any more, or refuses the value; the message
        says what would be right.
    """
    for device, values in properties.items():
        if device not in core.getLoadedDevices():
            raise ConfigError(
                f"properties.{device}: there is no such device; there are {', '.join(core.getLoadedDevices())}"
            )
        for name, value in values.items():
            _set_property(core, device, name, value)


def _set_property(core: CMMCorePlus, device: str, name: str, value: str | float) -> None:
    key = f"properties.{device}.{name}"
    if not core.hasProperty(device, name):
        known = ", ".join(core.getDevicePropertyNames(device))
        raise ConfigError(f"{key}: {device} has no such property; it has {known}")
    if core.isPropertyReadOnly(device, name):
        raise ConfigError(f"{key} can only be read; it is {core.getProperty(device, name)!r}")
    if core.isPropertyPreInit(device, name):
        raise ConfigError(
            f"{key} can only be set before the device is initialized",
            todo="set it in the .cfg, with Micro-Manager's hardware configuration wizard",
        )
    try:
        core.setProperty(device, name, value)
    except CORE_ERRORS as error:
        if allowed := core.getAllowedPropertyValues(device, name):
            right = f"one of {', '.join(allowed)}"
        elif core.hasPropertyLimits(device, name):
            right = f"{core.getPropertyLowerLimit(device, name):g} … {core.getPropertyUpperLimit(device, name):g}"
        else:
            right = "another value"
        raise ConfigError(f"{key} = {value!r} is refused: {one_line(error)}", todo=f"give {right}") from error


def set_roi(core: CMMCorePlus, x: int, y: int, width: int, height: int) -> list[str]:
    """Choose a region of the chip, px; return a sentence if the camera took another one.

    Raises
    ------
    ConfigError
        The region is not on the chip, or the camera refuses it.
    """
    asked = f"{width} × {height} px at column {x}, row {y}"
    try:
        core.clearROI()
        chip_width, chip_height = core.getImageWidth(), core.getImageHeight()
        if x + width > chip_width or y + height > chip_height:
            raise ConfigError(f"roi: {asked} is not on the chip, which has {chip_width} × {chip_height} px")
        core.setROI(x, y, width, height)
    except CORE_ERRORS as error:
        raise ConfigError(f"roi: the camera refuses {asked}: {one_line(error)}") from error
    taken_x, taken_y, taken_width, taken_height = core.getROI()
    if (taken_x, taken_y, taken_width, taken_height) == (x, y, width, height):
        return []
    taken = f"{taken_width} × {taken_height} px at column {taken_x}, row {taken_y}"
    return [f"roi: {asked} was asked for, the camera uses {taken}"]


def set_exposure(core: CMMCorePlus, exposure_ms: float) -> list[str]:
    """Set the exposure, ms; return a sentence if the camera took another one.

    Raises
    ------
    ConfigError
        The camera refuses it.
    """
    try:
        core.setExposure(exposure_ms)
    except CORE_ERRORS as error:
        raise ConfigError(f"exposure_ms = {exposure_ms:g} ms is refused: {one_line(error)}") from error
    taken_ms = core.getExposure()
    if abs(taken_ms - exposure_ms) <= 0.01 * exposure_ms:
        return []
    return [f"exposure_ms: {exposure_ms:g} ms was asked for, the camera uses {taken_ms:g} ms"]


class CameraState(NamedTuple):
    """What must not change while frames are recorded; None where the camera does not say."""

    region: tuple[int, int, int, int] | None
    """First column and row, columns and rows, px."""
    exposure_ms: float | None
    binning: str | None

    def changed_to(self, other: CameraState) -> str:
        """Say what is different in another state; "" where nothing is, or one of them does not say."""
        found = []
        if self.region is not None and other.region is not None and self.region != other.region:
            found.append(f"the region from {_region(self.region)} to {_region(other.region)}")
        before_ms, now_ms = self.exposure_ms, other.exposure_ms
        if before_ms is not None and now_ms is not None and not math.isclose(before_ms, now_ms, rel_tol=1e-3):
            found.append(f"the exposure from {before_ms:g} ms to {now_ms:g} ms")
        if self.binning is not None and other.binning is not None and self.binning != other.binning:
            found.append(f"the binning from {self.binning} to {other.binning}")
        return " and ".join(found)


def state_of(core: CMMCorePlus) -> CameraState:
    """Return how the core's camera is set at this moment."""
    region, exposure_ms, binning = None, None, None
    label = core.getCameraDevice()
    with suppress(*CORE_ERRORS):
        x, y, width, height = core.getROI()
        region = (x, y, width, height)
    with suppress(*CORE_ERRORS):
        exposure_ms = core.getExposure()
    with suppress(*CORE_ERRORS, KeyError):  # the cache: reading it disturbs no camera
        if core.hasProperty(label, BINNING_PROPERTY):
            binning = core.getPropertyFromCache(label, BINNING_PROPERTY)
    return CameraState(region, exposure_ms, binning)


def _region(region: tuple[int, int, int, int]) -> str:
    return f"{region[2]} × {region[3]} px at column {region[0]}, row {region[1]}"


def describe(core: CMMCorePlus) -> SourceInfo:
    """Return what the core's camera is and how it is set, with its properties in the details.

    Raises
    ------
    ConfigError
        Its pictures are neither 8-bit nor 16-bit grey, or it is several cameras joined.
    """
    label = core.getCameraDevice()
    if core.getNumberOfCameraChannels() != 1:
        raise ConfigError(
            f"the camera {label!r} joins {core.getNumberOfCameraChannels()} cameras; one acquisition takes one",
            todo="give the label of one of the cameras it joins",
        )
    components, pixel_bytes = core.getNumberOfComponents(), core.getBytesPerPixel()
    if components != 1 or pixel_bytes not in (1, 2):
        kind = f"of {components} colours" if components != 1 else f"of {8 * pixel_bytes} bits"
        raise ConfigError(
            f"the camera {label!r} gives pictures {kind}; 8-bit and 16-bit grey can be localized",
            todo=f'choose its 16-bit mode, for example properties.{label}.PixelType = "16bit"',
        )
    properties = _readable_properties(core, label)
    x, y, width, height = core.getROI()
    device = f"{core.getDeviceLibrary(label)}/{core.getDeviceName(label)}"
    return SourceInfo(
        camera=properties.get(NAME_PROPERTY) or core.getDeviceName(label) or label,
        serial=serial_number(properties),
        width=width,
        height=height,
        pixel_size_nm=core.getPixelSizeUm() * 1000 or None,
        exposure_ms=core.getExposure() or None,
        interval_ms=_positive(properties.get(INTERVAL_PROPERTY, "")),
        bit_depth=core.getImageBitDepth() or None,
        roi_x=x,
        roi_y=y,
        details={"device": f"{label} ({device})", "Micro-Manager": core.getVersionInfo(), **VERSIONS}
        | {f"{label}.{name}": value for name, value in properties.items()},
    )


def _readable_properties(core: CMMCorePlus, label: str) -> dict[str, str]:
    """Return what can be read of a device; some cameras refuse some properties in some modes."""
    values: dict[str, str] = {}
    for name in core.getDevicePropertyNames(label):
        with suppress(*CORE_ERRORS):
            values[name] = core.getProperty(label, name)
    return values


def serial_number(properties: Mapping[str, str]) -> str:
    """Return the camera's serial number from its properties, or "" where none looks like one."""
    plain = {re.sub("[^a-z]", "", name.lower()): value for name, value in properties.items()}
    return next((plain[name] for name in SERIAL_NUMBER_PROPERTIES if plain.get(name)), "")


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None


def one_line(error: BaseException) -> str:
    """Return Micro-Manager's message, which likes to have several lines, as one."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
