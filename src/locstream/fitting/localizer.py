"""Frames in, rows out: everything between a camera's pixels and the table."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError, StackError
from locstream.fitting.depth import depth_curves
from locstream.fitting.detect import Detector
from locstream.fitting.frame import Job, Localize, Workplace, compiled_localize, lay_out, room_for_molecules
from locstream.fitting.gaussian import box_columns
from locstream.fitting.groups import room_for_groups
from locstream.fitting.noise import noise_ratio
from locstream.fitting.options import FitOptions
from locstream.fitting.sensor import Sensor, sensor
from locstream.fitting.starts import start_weights
from locstream.fitting.structure import structured
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.stacks.source import Image

UINT16 = np.dtype(np.uint16)
NEVER_SATURATED_ADU = 65_536.0
NOISE_STEPS = 4
"""Where a frame has more noise than its camera should, it is told in this many steps an octave, up to `MOST_STEPS`."""
MOST_STEPS = 12 * NOISE_STEPS
FIRST_ROOM = 1024
"""Peaks there is room for at first; it grows with the first frame that has more."""


class _Camera(NamedTuple):
    """What localizing a frame needs to know of the camera at one level of noise."""

    sensor: Sensor
    find_peaks: Detector
    photons_per_unit: float
    workplace: Workplace


class Localizer:
    """Localizes the molecules in the frames of one camera. No frame has a say in the rows of another.

    A calibration is used as it is given. Where it tells nothing of the noise (`CameraCalibration.tells_noise`) and a
    frame has far more or less than its light in ADU calls for, the noise is taken from the frame: then the threshold
    and the uncertainties still hold, while photons are those of the calibration as it is.

    Parameters
    ----------
    calibration
        The camera; its maps, where it has any, cover the frame from their first pixel.
    height, width
        Shape of the frames, px.
    options
        How molecules are found and fitted.
    astigmatism
        Gives every row its depth; None for a table without.
    median
        Median over time of the frames, ADU, of their shape, where the options ask for it: light that is known.

    Raises
    ------
    StackError
        The frames have no pixels.
    ConfigError
        The calibration's maps are smaller than the frames, the options ask for a median and there is none, or it says
        nothing because the calibration does not tell the noise, or depth is asked of a model without a width of each
        axis, or of pixels of another size than those the astigmatism was calibrated with.
    """

    def __init__(
        self,
        calibration: CameraCalibration,
        height: int,
        width: int,
        options: FitOptions,
        astigmatism: AstigmatismCalibration | None = None,
        median: Image | None = None,
    ) -> None:
        if min(height, width) < 1:
            raise StackError(f"frames of {height} × {width} px have no pixels", todo="see what the stack holds")
        self._shape = height, width
        self._too_small = min(height, width) < options.box_px
        self._sensor = sensor(calibration, height, width)
        _check_background(options, calibration, median)
        if median is not None:
            self._sensor = structured(self._sensor, median)
        self._pixel_nm = calibration.pixel_size_nm
        # The fits count photoelectrons divided by the excess noise factor, see `Sensor`.
        self._photons_per_unit = calibration.excess_noise_squared / calibration.quantum_efficiency
        saturation = calibration.saturation_adu
        self._saturation_adu = NEVER_SATURATED_ADU if saturation is None else float(saturation)
        self._noise_known = calibration.tells_noise
        self._options = options
        self._columns = box_columns(options.box_px, options.model)
        self._along = (
            () if astigmatism is None else (depth_curves(astigmatism, calibration.pixel_size_nm, options.model),)
        )
        self._dtype = LOCALIZATION if astigmatism is None else LOCALIZATION_3D
        self._sigma_px = options.psf_sigma_nm / calibration.pixel_size_nm
        self._weights = start_weights(options.box_px, self._sigma_px, self._columns[1])
        self._groups = room_for_groups(options.box_px, self._sigma_px, 2 if options.model == "sigma_xy" else 1)
        self._found = np.zeros(1, np.int64)
        self._cameras: dict[int, _Camera] = {}
        self._make_room(FIRST_ROOM)

    def __call__(self, image: Image, frame: int) -> Localizations:
        """Localize the molecules of one frame.

        Parameters
        ----------
        image
            Shape (height, width), uint16, ADU.
        frame
            Its number, from 0; goes into every row.

        Returns
        -------
        numpy.ndarray
            Shape (n,), dtype `LOCALIZATION`, or `LOCALIZATION_3D` with depth: first those that a peak showed, in
            reading order of the peaks, then those that were found beside them. Left out are fits that did not converge
            or ended at a bound, fits over a saturated pixel, positions outside the centres of the frame's corner
            pixels, positions that are uncertain by more than a pixel, and depths at an end of the calibrated range or
            off its curves: what is returned is finite, within the frame, and, but for depths, never negative.

        Raises
        ------
        StackError
            The frame has another shape or another type of pixel.
        """
        image = self._checked(image)
        if self._too_small:
            return empty(0, self._dtype)
        workplace = self._workplace_for(image)
        rows = self._localize(image, workplace, int(frame), *self._along)
        peaks = int(self._found[0])
        if peaks <= self._capacity:
            return rows
        self._make_room(2 * peaks)
        return self(image, frame)

    @functools.cached_property
    def _localize(self) -> Localize:
        """What is done with a frame; compiled when the first one comes."""
        return compiled_localize(self._noisier(0).workplace, *self._along)

    def _make_room(self, peaks: int) -> None:
        """Make room for so many peaks of a frame and what is found beside them."""
        self._capacity = peaks
        self._molecules = room_for_molecules(peaks, self._sensor, self._options)
        self._cameras.clear()
        self._noisier(0)

    def _workplace_for(self, image: Image) -> Workplace:
        """Return the workplace with the camera as the noise of the frame shows it."""
        if self._noise_known:
            return self._noisier(0).workplace
        ratio, light = noise_ratio(image, self._sensor)
        if ratio > 1:
            return self._noisier(min(round(NOISE_STEPS * math.log2(ratio)), MOST_STEPS)).workplace
        camera = self._noisier(0)
        if ratio < 1:
            # Light cannot be quieter than Poisson noise: part of what is taken for light is the camera's offset.
            offset, scale, variance = camera.sensor
            darker = Sensor(offset + np.float32((1 - ratio) * light) / scale, scale, variance)
            return self._workplace(darker, camera.find_peaks, camera.photons_per_unit)
        return camera.workplace

    def _noisier(self, steps: int) -> _Camera:
        """Return the camera with 2 ** (steps / NOISE_STEPS) times the noise.

        A number whose variance is r times its mean is, divided by r, as good as Poisson distributed.
        """
        if steps not in self._cameras:
            ratio = np.float32(2 ** (steps / NOISE_STEPS))
            offset, scale, variance = self._sensor
            noisy = Sensor(offset, scale / ratio, variance / ratio**2)
            detector = Detector(
                noisy,
                *self._shape,
                sigma_px=self._sigma_px,
                threshold=self._options.threshold,
                separation_px=self._options.min_separation_px,
            )
            photons_per_unit = self._photons_per_unit * float(ratio)
            workplace = self._workplace(noisy, detector, photons_per_unit)
            self._cameras[steps] = _Camera(noisy, detector, photons_per_unit, workplace)
        return self._cameras[steps]

    def _workplace(self, camera: Sensor, detector: Detector, photons_per_unit: float) -> Workplace:
        """Lay out what frames of a camera are localized with. A number of another type would compile all once more."""
        options = self._options
        job = Job(
            separation=options.min_separation_px,
            threshold=float(options.threshold),
            box=options.box_px,
            sigma=float(self._sigma_px),
            photons_per_height=detector.photons_per_height,
            saturation_adu=self._saturation_adu,
            width_known=options.model == "fixed",
            pixel_nm=float(self._pixel_nm),
            photons_per_unit=float(photons_per_unit),
        )
        matched, room = detector.matched, detector.room
        return lay_out(
            camera, matched, room, *self._molecules, self._groups, self._weights, self._columns, job, self._found
        )

    def _checked(self, image: Image) -> Image:
        """Return the frame as the kernels were compiled for it: in C order, aligned, read-only."""
        if not isinstance(image, np.ndarray) or image.shape != self._shape:
            raise StackError(
                f"a frame of shape {np.shape(image)} came where (rows, columns) = {self._shape} px was expected",
                todo="give the localizer frames of the shape it was made for",
            )
        if image.dtype != UINT16:
            raise StackError(
                f"a frame of {image.dtype} pixels came; the localizer takes the camera's native uint16",
                todo="give the frames as the camera wrote them, not converted",
            )
        flags = image.flags
        if type(image) is np.ndarray and flags.c_contiguous and flags.aligned:
            if not flags.writeable:
                return image
            view = image.view()
        else:
            view = np.require(image, requirements=["C", "A"]).view(np.ndarray)
        view.setflags(write=False)
        return view


def _check_background(options: FitOptions, calibration: CameraCalibration, median: Image | None) -> None:
    """See that a median over time is there where it is asked for, and means something."""
    if (options.background == "temporal_median") != (median is not None):
        raise ConfigError(
            f'background = "{options.background}": frames come one by one here, and no median over time is known'
            if median is None
            else 'a median over time came, and background = "local" would ignore it',
            todo='set background = "local", and fit the finished stack with "temporal_median" afterwards',
        )
    if median is not None and not calibration.tells_noise:
        raise ConfigError(
            'background = "temporal_median" needs the gain of the camera: light that is known has noise that is known',
            todo="calibrate the camera, or give gain_e_per_adu and read_noise_e",
        )


def warmup(
    options: FitOptions | None = None, pixel_size_nm: float = 100.0, astigmatism: AstigmatismCalibration | None = None
) -> None:
    """Compile every kernel, or load it from the cache: seconds once, then tenths of a second in each process.

    Parameters
    ----------
    options
        The box and the model to make ready; None for the default ones. Others are compiled when they are first used.
    pixel_size_nm, astigmatism
        As in the frames to come, where `options` are not the default ones.
    """
    rng = np.random.default_rng(0)
    image = rng.poisson(110, (48, 48)).astype(np.uint16)
    image[20:22, 20:22] += 2000
    image[24:26, 24:26] += 2000  # two that overlap
    calibration = CameraCalibration(pixel_size_nm=pixel_size_nm, offset_adu=100.0)
    Localizer(calibration, 48, 48, options or FitOptions(), astigmatism)(image, 0)
