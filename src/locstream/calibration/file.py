"""A camera calibration as one file: HDF5 with a map for each value, and what must be known to use it again.

===============================  ============================================================
``/offset_adu``                  level without light, ADU
``/gain_e_per_adu``              electrons per ADU after the EM register
``/read_noise_e``                read noise, electrons rms, before division by the EM gain
``/gain_uncertainty_e_per_adu``  1 σ of the gain
``/header``                      `CalibrationHeader` as JSON
===============================  ============================================================

Maps are float32 of shape (rows, columns); each has its unit as an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from locstream import __version__
from locstream.calibration.camera import MAPS, CameraCalibration
from locstream.errors import ConfigError
from locstream.settings import what_is_wrong

FORMAT = 1
UNITS = {"offset_adu": "ADU", "gain_e_per_adu": "electron/ADU", "read_noise_e": "electron"}
GAIN_UNCERTAINTY = "gain_uncertainty_e_per_adu"
HEADER = "header"
SUFFIX = ".h5"


class Region(BaseModel):
    """A rectangle of the sensor, px."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    x: int = Field(ge=0)
    """First column, from 0."""
    y: int = Field(ge=0)
    """First row, from 0."""
    width: int = Field(ge=1)
    """Columns."""
    height: int = Field(ge=1)
    """Rows."""

    def __str__(self) -> str:
        return f"{self.width} × {self.height} px at column {self.x}, row {self.y}"

    def covers(self, other: Region) -> bool:
        """Say whether another region lies within this one."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.width <= self.x + self.width
            and other.y + other.height <= self.y + self.height
        )


class CalibrationHeader(BaseModel):
    """Of which camera, in which mode and where on its sensor a calibration is, and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    """Version of the file's layout."""
    camera: str = ""
    """Name of the camera, "" where unknown."""
    serial: str = ""
    """Its serial number, "" where unknown."""
    mode: str = ""
    """What the user calls the mode it ran in."""
    properties: dict[str, str] = Field(default_factory=dict)
    """What the camera or its program said of the mode: readout rate, gain setting, binning."""
    region: Region
    """What of the sensor the maps cover."""
    em_gain: float = Field(default=1.0, ge=1)
    """Gain of the EM register that the maps are for, 1 for none."""
    exposure_ms: float | None = None
    """Exposure of the dark frames, ms; None where unknown."""
    dark_frames: int = Field(ge=0)
    """Number of frames in the dark."""
    light_frames: tuple[int, ...]
    """Number of frames of each level of light."""
    made: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it was made, UTC."""
    software: str = f"locstream {__version__}"
    """The program that made it."""


def write_calibration(path: Path, header: CalibrationHeader, maps: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Write a calibration.

    Parameters
    ----------
    path
        Written in place; see `locstream.bundle.whole_file` for all or nothing.
    header
        What is known of it.
    maps
        ``offset_adu``, ``gain_e_per_adu``, ``read_noise_e`` and ``gain_uncertainty_e_per_adu``, each of the shape
        (rows, columns) of the header's region.

    Raises
    ------
    ConfigError
        A map has another shape, or holds what no camera does. Nothing is written.
    OSError
        The disk refuses; h5py may also raise RuntimeError.
    """
    shape = header.region.height, header.region.width
    for name in (*MAPS, GAIN_UNCERTAINTY):
        if maps[name].shape != shape:
            raise ConfigError(f"the map {name} has shape {maps[name].shape}, its region {shape} (rows, columns)")
    offset, gain, read_noise = (np.asarray(maps[name], np.float32) for name in MAPS)
    CameraCalibration(pixel_size_nm=1.0, offset_adu=offset, gain_e_per_adu=gain, read_noise_e=read_noise)
    with h5py.File(path, "w") as file:
        for name in (*MAPS, GAIN_UNCERTAINTY):
            file[name] = np.asarray(maps[name], np.float32)
            file[name].attrs["unit"] = UNITS[name.replace("uncertainty_", "")]
        file[HEADER] = header.model_dump_json()


def read_header(path: Path) -> CalibrationHeader:
    """Return what is known of a stored calibration. Raises `ConfigError` where the file is none."""
    with _open(path) as file:
        return _header(path, file)


def read_calibration(
    path: Path,
    region: Region,
    pixel_size_nm: float,
    *,
    quantum_efficiency: float = 1.0,
    saturation_adu: float | None = None,
) -> CameraCalibration:
    """Return the calibration of a region of the sensor.

    Parameters
    ----------
    path
        A file that `write_calibration` wrote.
    region
        Where on the sensor the frames lie.
    pixel_size_nm
        Edge of a pixel in the sample plane, nm.
    quantum_efficiency
        Photoelectrons per photon, in (0, 1].
    saturation_adu
        Level from which a pixel counts as saturated, ADU; None where unknown.

    Returns
    -------
    CameraCalibration
        With maps of shape (rows, columns) of `region`.

    Raises
    ------
    ConfigError
        The file is no calibration, is damaged, or does not cover the region.
    """
    with _open(path) as file:
        header = _header(path, file)
        if not header.region.covers(region):
            raise ConfigError(
                f"the calibration {path} covers {header.region}; the frames are {region}",
                todo="calibrate the whole sensor once, or this region",
            )
        try:
            offset, gain, read_noise = (_region_of_map(file, name, header.region, region) for name in MAPS)
        except (LookupError, OSError, RuntimeError) as error:
            raise ConfigError(
                f"the calibration {path} is damaged: {_first_line(error)}", todo="copy it again, or make it again"
            ) from error
    return CameraCalibration(
        pixel_size_nm=pixel_size_nm,
        offset_adu=offset,
        gain_e_per_adu=gain,
        read_noise_e=read_noise,
        em_gain=header.em_gain,
        quantum_efficiency=quantum_efficiency,
        saturation_adu=saturation_adu,
    )


def _region_of_map(file: h5py.File, name: str, whole: Region, part: Region) -> npt.NDArray[np.float32]:
    """Return the part of a map. Raises `LookupError` where it is not what the header says, or what h5py raises."""
    stored = file[name]
    if not isinstance(stored, h5py.Dataset) or stored.shape != (whole.height, whole.width):
        raise LookupError(f"{name} is no map of {whole.width} × {whole.height} px")
    top, left = part.y - whole.y, part.x - whole.x
    return np.asarray(stored[top : top + part.height, left : left + part.width], np.float32)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ConfigError(f"the calibration {path} cannot be read: {error}") from error
    with file:
        yield file


def _header(path: Path, file: h5py.File) -> CalibrationHeader:
    try:
        return CalibrationHeader.model_validate_json(file[HEADER][()])
    except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{path} is not a camera calibration of locstream: {_first_line(error)}",
            todo="`locstream calibrate-camera` makes one from dark and light stacks",
        ) from error


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(what_is_wrong(error, CalibrationHeader))
    return str(error).splitlines()[0] if str(error) else type(error).__name__
