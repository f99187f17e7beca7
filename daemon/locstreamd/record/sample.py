"""The simulated sample: a cell whose fluorophores blink, and the truth about every one of them.

What the molecules do depends on the options alone, not on the clock and not on who looks: the truth is
never stored while frames are taken, it is worked out again when somebody asks for it. Memory stays flat
however long the simulation runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import numpy.typing as npt
from pydantic import Field

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError
from locstream.localizations import ORIGIN
from locstream.settings import Settings
from locstreamd.record.structures import STRUCTURES, Sites

EMISSION = np.dtype([("frame", "<u4"), ("x_nm", "<f8"), ("y_nm", "<f8"), ("photons", "<f4")])
"""A molecule in one frame: where it was and how many photons of it reached the camera."""

Emissions = npt.NDArray[np.void]
"""A one-dimensional array of dtype `EMISSION`."""

EVENT = np.dtype([("x_nm", "<f8"), ("y_nm", "<f8"), ("on", "<f8"), ("off", "<f8"), ("brightness", "<f8")])
"""One stay in the bright state: place without drift, times in frames, photons per whole frame."""

PLACES, BLINKS = 0, 1
"""Names of the two independent random streams of one seed."""
TRUTH_BLOCK_ROWS = 65_536
SATURATION_ADU = 65_535


class SimulationOptions(Settings):
    """The simulated cell and the simulated camera."""

    width: int = Field(256, ge=16, le=8192)
    """Columns of a frame, px."""
    height: int = Field(256, ge=16, le=8192)
    """Rows of a frame, px."""
    pixel_size_nm: float = Field(108.0, ge=10, le=1000)
    """Edge of a pixel in the sample, nm."""
    frames: int | None = Field(None, ge=1)
    """Frames to take. Not given: until stopped."""
    exposure_ms: float = Field(10.0, gt=0, le=10_000)
    """Exposure, which is also the time from one frame to the next, ms."""
    paced: bool = True
    """True to give a frame every `exposure_ms`; false to give frames as fast as they are taken."""
    seed: int = Field(1, ge=0)
    """Another number gives another cell and other blinks; the same number gives the same frames, bit by bit."""
    structures: tuple[Literal["microtubules", "pores"], ...] = Field(("microtubules", "pores"), min_length=1)
    """What the cell is made of."""
    emitters_per_frame: float = Field(60.0, gt=0, le=100_000)
    """Mean number of molecules that shine at any moment, in the whole field."""
    photons: float = Field(1200.0, gt=0, le=1_000_000)
    """Mean photons detected of a molecule that shines for a whole frame."""
    photons_spread: float = Field(0.3, ge=0, le=2)
    """How much molecules differ in brightness: sigma of the natural logarithm; 0 for all alike."""
    on_frames: float = Field(2.5, gt=0, le=1000)
    """Mean time a molecule shines, in frames. It may begin and end in the middle of a frame."""
    bleaching_frames: float | None = Field(None, gt=0)
    """Frames after which bleaching leaves 1/e of the molecules. Not given: no bleaching."""
    background: float = Field(10.0, ge=0, le=10_000)
    """Background, photons per pixel and frame."""
    psf_sigma_nm: float = Field(130.0, gt=0, le=2000)
    """Standard deviation of the point spread function, nm."""
    drift_nm_per_1000_frames: tuple[float, float] = (0.0, 0.0)
    """Drift of the sample along x and along y, nm in 1000 frames."""
    offset_adu: float = Field(100.0, ge=0, le=10_000)
    """Level of the camera without light, ADU."""
    gain_e_per_adu: float = Field(0.46, gt=0, le=100)
    """Electrons per ADU."""
    read_noise_e: float = Field(1.6, ge=0, le=100)
    """Read noise, electrons rms."""

    def calibration(self) -> CameraCalibration:
        """Return the calibration of the simulated camera: what a perfect one would find."""
        return CameraCalibration(
            pixel_size_nm=self.pixel_size_nm,
            offset_adu=self.offset_adu,
            gain_e_per_adu=self.gain_e_per_adu,
            read_noise_e=self.read_noise_e,
            saturation_adu=SATURATION_ADU,
        )


class Sample:
    """A cell under a microscope.

    Parameters
    ----------
    options
        What the cell is made of and how it blinks.

    Raises
    ------
    ConfigError
        The field is too small to hold any of the structures.
    """

    def __init__(self, options: SimulationOptions) -> None:
        self.options = options
        self.sites = self._place()

    def emissions(self) -> Iterator[Emissions]:
        """Give the molecules that shine in frame 0, in frame 1, and so on without end.

        Molecules begin to shine at random times and stay on for times with an exponential distribution
        (so the number of whole frames is geometric); in its first and last frame a molecule gives only
        part of its photons. Every call begins again at frame 0 and gives the same.

        Yields
        ------
        numpy.ndarray
            Dtype `EMISSION`. `x_nm`, `y_nm`: the true position in that frame, drift included, nm from the
            centre of pixel (0, 0). `photons`: a whole number, drawn from the Poisson distribution, of the
            photons detected; those that fell beside the frame are counted too.
        """
        options = self.options
        rng = np.random.default_rng([options.seed, BLINKS])
        drift_x_nm, drift_y_nm = (d / 1000 for d in options.drift_nm_per_1000_frames)
        shining = self._switched_on(rng, options.emitters_per_frame)
        for frame in itertools.count():
            rate = options.emitters_per_frame / options.on_frames
            if options.bleaching_frames is not None:
                rate *= np.exp(-frame / options.bleaching_frames)
            begun = self._switched_on(rng, rate)
            begun["on"] = frame + rng.random(len(begun))
            begun["off"] += begun["on"]
            shining = np.concatenate([shining, begun])
            part = np.minimum(shining["off"], frame + 1) - np.maximum(shining["on"], frame)
            rows = np.empty(len(shining), EMISSION)
            rows["frame"] = frame
            rows["x_nm"] = shining["x_nm"] + drift_x_nm * frame
            rows["y_nm"] = shining["y_nm"] + drift_y_nm * frame
            rows["photons"] = rng.poisson(part * shining["brightness"])
            yield rows[rows["photons"] > 0]
            shining = shining[shining["off"] > frame + 1]

    def truth(self, frames: int) -> Emissions:
        """Return every emission of the first `frames` frames.

        Returns
        -------
        numpy.ndarray
            Dtype `EMISSION`, in order of frames.
        """
        return np.concatenate([np.empty(0, EMISSION), *itertools.islice(self.emissions(), frames)])

    def write_truth(self, path: Path, frames: int) -> int:
        """Write the truth about the first `frames` frames as an HDF5 table, a block at a time.

        The file has one table, ``truth``, of dtype `EMISSION`; its attributes say where the origin is and
        hold every option of the simulation.

        Parameters
        ----------
        path
            The file, replaced if it exists.
        frames
            Number of frames.

        Returns
        -------
        int
            Number of rows.
        """
        with h5py.File(path, "w") as file:
            table = file.create_dataset(
                "truth", (0,), EMISSION, maxshape=(None,), chunks=(4096,), compression="gzip", shuffle=True
            )
            table.attrs["origin"] = ORIGIN
            table.attrs["frames"] = frames
            table.attrs["options"] = self.options.model_dump_json()
            waiting: list[Emissions] = []
            for number, rows in enumerate(itertools.islice(self.emissions(), frames), 1):
                waiting.append(rows)
                if number == frames or sum(map(len, waiting)) >= TRUTH_BLOCK_ROWS:
                    block = np.concatenate(waiting)
                    table.resize((len(table) + len(block),))
                    table[len(table) - len(block) :] = block
                    waiting.clear()
            return len(table)

    def _place(self) -> Sites:
        options = self.options
        field_nm = options.width * options.pixel_size_nm, options.height * options.pixel_size_nm
        rng = np.random.default_rng([options.seed, PLACES])
        sites = np.concatenate([STRUCTURES[name](rng, *field_nm) for name in dict.fromkeys(options.structures)])
        if not len(sites):
            raise ConfigError(
                f"a field of {field_nm[0] / 1000:.1f} × {field_nm[1] / 1000:.1f} µm holds no "
                f"{' and no '.join(options.structures)}",
                todo="give a larger width and height, or choose other structures",
            )
        return sites - options.pixel_size_nm / 2

    def _switched_on(self, rng: np.random.Generator, mean: float) -> npt.NDArray[np.void]:
        """Return about `mean` molecules that switch on at time 0; with no memory, so do those that are on already."""
        events = np.zeros(rng.poisson(mean), EVENT)
        place = rng.integers(len(self.sites), size=len(events))
        events["x_nm"], events["y_nm"] = self.sites[place].T
        events["off"] = rng.exponential(self.options.on_frames, len(events))
        spread = self.options.photons_spread
        events["brightness"] = self.options.photons * rng.lognormal(-(spread**2) / 2, spread, len(events))
        return events
