"""The whole camera calibration, kept with the localizations: frames that were recorded can be fitted later as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from locstream.calibration.camera import MAPS, CameraCalibration, ScalarOrMap
from locstream.errors import ConfigError
from locstream.results.layout import OURS

CALIBRATION = f"{OURS}/calibration"
_NUMBERS = ("pixel_size_nm", "em_gain", "quantum_efficiency", "saturation_adu")


def write_calibration(file: h5py.File, calibration: CameraCalibration, compression: Mapping[str, Any]) -> None:
    """Write a calibration: single numbers as attributes, each map (or number in its place) as a dataset.

    Parameters
    ----------
    file
        A results file that is just being created.
    calibration
        The calibration that the fit uses, cropped to the frames.
    compression
        Options of `h5py.Group.create_dataset` for the maps.
    """
    plain = _plain({name: getattr(calibration, name) for name in (*_NUMBERS, *MAPS)})
    group = file.create_group(CALIBRATION)
    group.attrs["digest"] = plain.digest()
    group.attrs.update({name: value for name in _NUMBERS if (value := getattr(plain, name)) is not None})
    for name in MAPS:
        value = np.asarray(getattr(plain, name))
        group.create_dataset(name, data=value, **(compression if value.ndim else {}))


def read_calibration(file: h5py.File) -> CameraCalibration | None:
    """Return the calibration that a results file keeps, None where it keeps none, or a damaged one.

    Parameters
    ----------
    file
        An open results file.
    """
    group = file.get(CALIBRATION)
    if group is None:
        return None
    try:
        found = _plain({**group.attrs, **{name: group[name][()] for name in MAPS}})
        return found if found.digest() == group.attrs["digest"] else None
    except (ConfigError, KeyError, OSError, TypeError, ValueError):
        return None


def _plain(values: Mapping[str, Any]) -> CameraCalibration:
    """Return a calibration of floats and float32 maps: the same before and after it was stored, to the digest."""

    def number_or_map(name: str) -> ScalarOrMap:
        value = values[name]
        return np.asarray(value, np.float32) if np.ndim(value) else float(value)

    saturation_adu = values.get("saturation_adu")
    return CameraCalibration(
        pixel_size_nm=float(values["pixel_size_nm"]),
        offset_adu=number_or_map("offset_adu"),
        gain_e_per_adu=number_or_map("gain_e_per_adu"),
        read_noise_e=number_or_map("read_noise_e"),
        em_gain=float(values["em_gain"]),
        quantum_efficiency=float(values["quantum_efficiency"]),
        saturation_adu=None if saturation_adu is None else float(saturation_adu),
    )
