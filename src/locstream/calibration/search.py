"""Finds the stored calibration of the camera that is really there: by serial number, mode and region."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from locstream.calibration.file import SUFFIX, CalibrationHeader, Region, read_header
from locstream.errors import ConfigError
from locstream.stacks.source import SourceInfo

_MODE = re.compile(r"gain|readout|scan|speed|port|amplifier|sensitivity|binning|pixeltype|dynamicrange|bitdepth")
_NO_MODE = re.compile(r"time|interval|temperature")


class Found(NamedTuple):
    """A stored calibration that serves a source.

    Parameters
    ----------
    path
        Its file.
    region
        Where the frames lie, in the calibration's own terms.
    warnings
        Sentences the user must see.
    """

    path: Path
    region: Region
    warnings: tuple[str, ...]


def find_calibration(place: Path, info: SourceInfo, mode: str = "") -> Found:
    """Return the calibration that serves a source of frames.

    A named file is taken unless it is of another camera, of another mode or does not cover the frames; what
    its camera said of its mode and this one says otherwise is a warning. Of a folder's files only those are
    taken that agree in that too, and of several the latest.

    Parameters
    ----------
    place
        A file, or a folder of such files.
    info
        What the source says of itself.
    mode
        Name of the mode, as it was given when the calibration was made; "" takes any.

    Raises
    ------
    ConfigError
        Nothing there serves, and why of every file; or nothing decides between cameras or modes that would.
    """
    if not place.is_dir():
        header = read_header(place)
        if reasons := _refusals(header, info, mode):
            raise ConfigError(
                f"the calibration {place} does not serve: {'; '.join(reasons)}",
                safe="nothing was started",
                todo="name the right file, or calibrate the camera as it is set now",
            )
        differences = [f"the calibration {place.name}: {words}" for words in _mode_differences(header, info)]
        return Found(place, *_region(header, info, place.name, differences))
    return _latest(place, info, mode)


def mode_properties(details: Mapping[str, str]) -> dict[str, str]:
    """Return what a source says of its camera's mode: those of its details that change offset, gain or noise.

    Parameters
    ----------
    details
        `SourceInfo.details`; Micro-Manager gives all properties of a camera as ``LABEL.PROPERTY``.

    Returns
    -------
    dict
        By name without the label, which is the user's own: "Binning", "PreampGain", "ReadoutRate".
    """
    names = {key.rpartition(".")[2]: value for key, value in details.items()}
    return {
        name: value for name, value in names.items() if _MODE.search(_plain(name)) and not _NO_MODE.search(_plain(name))
    }


def frames_region(info: SourceInfo) -> Region:
    """Return where on the sensor a source's frames lie, as it says."""
    return Region(x=max(info.roi_x, 0), y=max(info.roi_y, 0), width=info.width, height=info.height)


def _latest(folder: Path, info: SourceInfo, mode: str) -> Found:
    serving: list[tuple[Path, CalibrationHeader]] = []
    reasons = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            header = read_header(path)
        except ConfigError as error:
            reasons.append(error.what)
            continue
        refusals = _refusals(header, info, mode) + _mode_differences(header, info)
        if refusals:
            reasons.append(f"{path.name}: {'; '.join(refusals)}")
        else:
            serving.append((path, header))
    if not serving:
        raise ConfigError(
            f"no calibration in {folder} serves the camera {camera_label(info)}, {frames_region(info)}:"
            + "".join(f"\n    {reason}" for reason in reasons or [f"there is no {SUFFIX} file"]),
            safe="nothing was started",
            todo="calibrate the camera as it is set now, or name a file",
        )
    _refuse_a_guess(serving)
    path, header = max(serving, key=lambda found: found[1].made)
    return Found(path, *_region(header, info, path.name, []))


def _refuse_a_guess(serving: Sequence[tuple[Path, CalibrationHeader]]) -> None:
    """Refuse calibrations between which nothing that is known of the frames decides."""
    cameras = {header.serial or header.camera for _, header in serving}
    modes = {(header.mode, header.em_gain) for _, header in serving}
    if len(cameras) > 1 or len(modes) > 1:
        what = f"{len(cameras)} cameras" if len(cameras) > 1 else f"{len(modes)} modes"
        raise ConfigError(
            f"calibrations of {what} would serve, and the frames do not say of which they are: "
            + ", ".join(f"{path.name} (mode {header.mode!r})" for path, header in serving),
            safe="nothing was started",
            todo="name the file, or the mode",
        )


def _refusals(header: CalibrationHeader, info: SourceInfo, mode: str) -> list[str]:
    """Return why a calibration cannot be that of the source."""
    found = []
    if header.serial and info.serial and header.serial != info.serial:
        found.append(f"it is of the camera with serial number {header.serial}, the frames are of {info.serial}")
    elif not (header.serial and info.serial) and header.camera and info.camera and header.camera != info.camera:
        found.append(f"it is of the camera {header.camera!r}, the frames are of {info.camera!r}")
    if mode and header.mode != mode:
        found.append(f"it is of the mode {header.mode!r}, not {mode!r}")
    if not header.region.covers(frames_region(info)) and not _may_be_the_same_region(header, info):
        found.append(f"it covers {header.region}, the frames are {frames_region(info)}")
    return found


def _mode_differences(header: CalibrationHeader, info: SourceInfo) -> list[str]:
    """Return what the camera said of its mode then and says otherwise now."""
    now = {_plain(name): (name, value) for name, value in mode_properties(info.details).items()}
    found = []
    for then_name, then in header.properties.items():
        name, value = now.get(_plain(then_name), (then_name, then))
        if _plain(value) != _plain(then):
            found.append(f"{name} was {then!r} when it was made and is {value!r}")
    return found


def _may_be_the_same_region(header: CalibrationHeader, info: SourceInfo) -> bool:
    """Say whether the frames, of a source that does not know where they lie, can be those of the calibration.

    Column 0, row 0 is what a source says that does not know.
    """
    alike = (header.region.width, header.region.height) == (info.width, info.height)
    return alike and (info.roi_x, info.roi_y) == (0, 0)


def _region(
    header: CalibrationHeader, info: SourceInfo, name: str, warnings: list[str]
) -> tuple[Region, tuple[str, ...]]:
    region = frames_region(info)
    if header.region.covers(region):
        return region, tuple(warnings)
    sentence = f"the frames do not say where on the sensor they lie; as in the calibration {name}: {header.region}"
    return header.region, (*warnings, sentence)


def camera_label(info: SourceInfo) -> str:
    """Return the camera for a message: its name, and its serial number where it is known."""
    return f"{info.camera!r}" + (f" (serial {info.serial})" if info.serial else "")


def _plain(text: str) -> str:
    """Return a name or a value without case and separators: "Pre-amp Gain" as "preampgain"; numbers keep their dots."""
    return re.sub(r"[^a-z0-9.]", "", text.lower())
