"""Finds the calibration of the camera that is really there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from locstream.calibrating.noise import central
from locstream.calibrating.photon_transfer import MAX_SIDE_PX, estimate_from_frames
from locstream.calibration.camera import CameraCalibration, ScalarOrMap
from locstream.calibration.file import read_calibration
from locstream.calibration.search import camera_label, find_calibration
from locstream.errors import ConfigError
from locstream.stacks.source import SourceInfo, Stack
from locstreamd.service.config import CameraSettings, Config

FRAMES_FOR_ESTIMATE = 50


class Fallback(NamedTuple):
    """The calibration to use where no entry matches, and what the user must know of it."""

    entry: CameraSettings
    warning: str = ""


class Calibrated(NamedTuple):
    """What was found for a camera.

    Parameters
    ----------
    calibration
        Cropped to the frames.
    warnings
        Sentences the user must see.
    file
        The stored calibration that it was read from; None where numbers were given, or nothing.
    """

    calibration: CameraCalibration
    warnings: list[str]
    file: Path | None = None


def calibration_for(
    config: Config, info: SourceInfo, fallback: Fallback | None = None, pixel_size_nm: float | None = None
) -> Calibrated:
    """Return the calibration for a source, cropped to its region.

    Parameters
    ----------
    config
        Its ``[[camera]]`` entries are looked through.
    info
        What the source says of itself.
    fallback
        What is used where no entry matches; None for 1 e⁻/ADU and no offset.
    pixel_size_nm
        Wins over the entry's and the source's, nm.

    Raises
    ------
    ConfigError
        No pixel size is known, a map cannot be read or does not cover the frames, or no stored calibration serves.
    """
    warnings: list[str] = []
    entry = best_match(config.camera, info)
    if entry is None:
        entry, warning = fallback or Fallback(CameraSettings(), "photons are ADU, and precision assumes 1 e⁻/ADU")
        if warning:
            warnings.append(
                f"no calibration for the camera {camera_label(info)}: {warning}. Name a calibration, or "
                "give offset_adu and gain_e_per_adu, in a [[camera]] table"
            )
    sizes = (pixel_size_nm, entry.pixel_size_nm, info.pixel_size_nm)
    pixel_size_nm = next((size for size in sizes if size is not None), None)
    if pixel_size_nm is None:
        raise ConfigError(
            f"the pixel size of the camera {camera_label(info)} is not known",
            todo="give it, in the sample plane: pixel_size_nm in a [[camera]] table, or --pixel-size-nm for a replay",
        )
    saturation = entry.saturation_adu
    if saturation is None and info.bit_depth:
        saturation = float(2**info.bit_depth - 1)
    if entry.calibration is not None:
        found = find_calibration(entry.calibration, info, entry.mode)
        stored = read_calibration(
            found.path,
            found.region,
            pixel_size_nm,
            quantum_efficiency=entry.quantum_efficiency,
            saturation_adu=saturation,
        )
        return Calibrated(stored, [*warnings, *found.warnings], found.path)
    calibration = CameraCalibration(
        pixel_size_nm=pixel_size_nm,
        offset_adu=_value(entry.offset_adu, 0.0),
        gain_e_per_adu=_value(entry.gain_e_per_adu, 1.0),
        read_noise_e=_value(entry.read_noise_e, 0.0),
        em_gain=1.0 if entry.em_gain is None else entry.em_gain,
        quantum_efficiency=entry.quantum_efficiency,
        saturation_adu=saturation,
    )
    return Calibrated(calibration.for_frames(info.height, info.width, info.roi_x, info.roi_y), warnings)


def estimated(stack: Stack) -> Fallback | None:
    """Return what the noise of a recorded stack says of its camera, None where it says nothing."""
    frames = np.stack([central(stack.read(i), MAX_SIDE_PX) for i in range(min(len(stack), FRAMES_FOR_ESTIMATE))])
    found = estimate_from_frames(frames)
    if found is None:
        return None
    values = f"offset {found.offset_adu:g} ADU and {found.gain_e_per_adu:g} e⁻/ADU"
    how = (
        f"its noise gives {values}; photons and precision are estimates"
        if found.measured
        else f"its noise fits {values}, which sets the threshold; photons are in unknown units"
    )
    entry = CameraSettings(offset_adu=found.offset_adu, gain_e_per_adu=found.gain_e_per_adu)
    return Fallback(entry, how)


def best_match(entries: tuple[CameraSettings, ...], info: SourceInfo) -> CameraSettings | None:
    """Return the entry that fits the camera best: serial number before name before ``*``; None if none fits."""

    def fits(entry: CameraSettings) -> bool:
        return entry.name in ("*", info.camera) and entry.serial in ("", info.serial)

    def rank(entry: CameraSettings) -> tuple[bool, bool]:
        return bool(entry.serial), entry.name != "*"

    return max(filter(fits, entries), key=rank, default=None)


def _value(given: float | Path | None, default: float) -> ScalarOrMap:
    """Return a number as it is, or the map that a file holds."""
    if given is None:
        return default
    if not isinstance(given, Path):
        return given
    try:
        if given.suffix == ".npy":
            loaded = np.load(given, allow_pickle=False)
        elif given.suffix in (".tif", ".tiff"):
            loaded = tifffile.imread(given)
        else:
            raise ConfigError(f"the calibration map {given} is neither .npy nor .tif")
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise ConfigError(f"the calibration map {given} cannot be read: {error}") from error
    if loaded.dtype.kind not in "fiu":
        raise ConfigError(f"the calibration map {given} holds {loaded.dtype}, not numbers")
    return np.asarray(loaded, np.float32)
