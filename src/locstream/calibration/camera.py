"""The camera calibration: what turns ADU into photons, as one number or one map a pixel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from locstream.errors import ConfigError

ScalarOrMap = float | npt.NDArray[np.float32]
MAPS = ("offset_adu", "gain_e_per_adu", "read_noise_e")
EM_EXCESS_NOISE_SQUARED = 2.0
"""F² of an electron-multiplying register at high gain (Robbins & Hadwen, 2003)."""


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """How one camera in one mode turns photons into ADU.

    ``photoelectrons = (adu - offset_adu) * gain_e_per_adu / em_gain`` and
    ``photons = photoelectrons / quantum_efficiency``.

    Parameters
    ----------
    pixel_size_nm
        Edge of a pixel in the sample plane, nm.
    offset_adu
        Level without light, ADU; a number or a map of shape (rows, columns).
    gain_e_per_adu
        Electrons per ADU after the EM register; a number or a map.
    read_noise_e
        Read noise, electrons rms, before division by the EM gain; a number or a map.
    em_gain
        Gain of the electron-multiplying register, 1 for a camera without one.
    quantum_efficiency
        Photoelectrons per photon, in (0, 1].
    saturation_adu
        Level from which a pixel counts as saturated, ADU; None where unknown.

    Raises
    ------
    ConfigError
        A value is outside its physical range, or maps differ in shape.
    """

    pixel_size_nm: float
    offset_adu: ScalarOrMap = 0.0
    gain_e_per_adu: ScalarOrMap = 1.0
    read_noise_e: ScalarOrMap = 0.0
    em_gain: float = 1.0
    quantum_efficiency: float = 1.0
    saturation_adu: float | None = None

    def __post_init__(self) -> None:
        for name in MAPS:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                checked = np.array(value, np.float32, order="C")  # a copy: whose map it is may go on changing it
                checked.flags.writeable = False
                object.__setattr__(self, name, checked)
        self._check()

    def _check(self) -> None:
        if not (np.isfinite(self.pixel_size_nm) and 1 <= self.pixel_size_nm <= 10_000):
            raise ConfigError(
                f"pixel_size_nm = {self.pixel_size_nm} nm is outside 1 … 10,000 nm",
                todo="give the size of a camera pixel in the sample, for example 130 (nm)",
            )
        if not 0 < self.quantum_efficiency <= 1:
            raise ConfigError(f"quantum_efficiency = {self.quantum_efficiency} is outside (0, 1]")
        if not self.em_gain >= 1:
            raise ConfigError(f"em_gain = {self.em_gain} is below 1", todo="1 means no EM gain")
        for name in MAPS:
            value = np.asarray(getattr(self, name))
            if value.ndim not in (0, 2):
                raise ConfigError(f"the map {name} has {value.ndim} axes; it needs 2 (rows, columns)")
            if not np.all(np.isfinite(value)):
                raise ConfigError(f"{name} holds {np.count_nonzero(~np.isfinite(value))} values that are not finite")
        if np.any(np.asarray(self.gain_e_per_adu) <= 0):
            raise ConfigError("gain_e_per_adu must be above 0 e⁻/ADU in every pixel")
        if np.any(np.asarray(self.read_noise_e) < 0):
            raise ConfigError("read_noise_e must not be negative")
        shapes = {np.shape(getattr(self, name)) for name in MAPS} - {()}
        if len(shapes) > 1:
            raise ConfigError(f"the calibration maps differ in shape: {sorted(shapes)}")

    @property
    def map_shape(self) -> tuple[int, int] | None:
        """Shape (rows, columns) of the per-pixel maps, or None where all values are scalars."""
        for name in MAPS:
            shape = np.shape(getattr(self, name))
            if shape:
                return int(shape[0]), int(shape[1])
        return None

    @property
    def excess_noise_squared(self) -> float:
        """F²: 2 behind an EM register that amplifies, 1 otherwise."""
        return EM_EXCESS_NOISE_SQUARED if self.em_gain > 1 else 1.0

    @property
    def tells_noise(self) -> bool:
        """Whether gain or read noise were given. Without either nothing is known of the noise of a frame."""
        return bool(self.em_gain > 1 or np.any(np.asarray(self.gain_e_per_adu) != 1) or np.any(self.read_noise_e))

    def for_frames(self, height: int, width: int, roi_x: int = 0, roi_y: int = 0) -> CameraCalibration:
        """Return the calibration of a region of the sensor.

        Parameters
        ----------
        height, width
            Shape of the frames, px.
        roi_x, roi_y
            Column and row of the region's first pixel on the sensor, from 0. Maps that have the
            frames' own shape already are taken as they are.

        Raises
        ------
        ConfigError
            The maps do not cover the region.
        """
        shape = self.map_shape
        if shape is None or shape == (height, width):
            return self
        if shape[0] < roi_y + height or shape[1] < roi_x + width:
            raise ConfigError(
                f"the calibration maps are {shape[1]} × {shape[0]} px, the frames need "
                f"{width} × {height} px at column {roi_x}, row {roi_y}",
                todo="calibrate the camera for this region, or give scalar values",
            )
        cut = (slice(roi_y, roi_y + height), slice(roi_x, roi_x + width))

        def region(value: ScalarOrMap) -> ScalarOrMap:
            return value[cut] if isinstance(value, np.ndarray) else value

        return replace(
            self,
            offset_adu=region(self.offset_adu),
            gain_e_per_adu=region(self.gain_e_per_adu),
            read_noise_e=region(self.read_noise_e),
        )

    def photoelectrons(self, adu: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Convert pixel values to photoelectrons.

        Parameters
        ----------
        adu
            Shape (..., rows, columns), ADU.

        Returns
        -------
        numpy.ndarray
            The same shape, float32, photoelectrons before the EM register.
        """
        offset = np.asarray(self.offset_adu, np.float32)
        scale = np.asarray(self.gain_e_per_adu, np.float32) / np.float32(self.em_gain)
        return (adu.astype(np.float32) - offset) * scale

    def digest(self) -> str:
        """Return a hash of every value, the same on every machine; two equal calibrations agree."""
        h = hashlib.sha256()
        for f in fields(self):
            value = getattr(self, f.name)
            h.update(f.name.encode())
            if isinstance(value, np.ndarray):
                h.update(value.astype("<f4").tobytes())
            else:
                h.update(repr(value if value is None else float(value)).encode())
        return h.hexdigest()
