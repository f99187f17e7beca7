"""Detection: where in a frame a molecule shines.

A frame is smoothed with a Gaussian as wide as the image of a molecule (the matched filter). A pixel is a molecule's
where the smoothed image exceeds the background by ``threshold`` standard deviations of its own noise and no pixel
nearby is higher. Background and noise come from the frame and the camera calibration, hence one threshold for all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from locstream.compiled import Floats
from locstream.fitting.background import tile_medians
from locstream.fitting.matched_filter import MatchedFilter, Peaks, find_peaks, room_for_peaks, room_for_rows
from locstream.fitting.sensor import Sensor
from locstream.fitting.smoothing import REACH_PX
from locstream.stacks.source import Image


class Detector:
    """Finds the molecules in the frames of one camera.

    Parameters
    ----------
    camera
        What `sensor` gave for frames of this shape.
    height, width
        Shape of the frames, px.
    sigma_px
        Standard deviation of the image of a molecule, px.
    threshold
        Least height of a peak in standard deviations of the noise of the smoothed image there.
    separation_px
        Peaks as near as this along rows and columns count as one.
    """

    def __init__(
        self, camera: Sensor, height: int, width: int, *, sigma_px: float, threshold: float, separation_px: int
    ) -> None:
        self._separation = separation_px
        offsets = np.arange(-REACH_PX, REACH_PX + 1)
        gauss = np.exp(-0.5 * (offsets / sigma_px) ** 2)
        taps = gauss / gauss.sum()
        self.photons_per_height = float(2 * np.pi * sigma_px**2 / np.sum(taps * gauss) ** 2)
        """Photoelectrons of a molecule in the middle of a pixel for each unit of its height."""
        noise = (threshold**2 * _smooth(camera.variance, taps**2)).astype(np.float32)
        self.matched = MatchedFilter(
            taps=taps[REACH_PX:].astype(np.float32),
            shot=np.float32(threshold**2 * np.sum(taps**2) ** 2),
            # The first term of the Cornish–Fisher expansion for the third moment of filtered Poisson noise: with it
            # false peaks are as rare at 1 photon a pixel as at 1000.
            skew=np.float32((threshold**2 - 1) / 6 * (np.sum(taps**3) / np.sum(taps**2)) ** 2),
            noise=noise,
            quiet=noise.min(axis=0),
            tile_noise=tile_medians(camera.variance, height, width),
            edge_rows=_edge_variance(taps, height),
            edge_columns=_edge_variance(taps, width),
        )
        """What decides which pixels stand out."""
        self.room = room_for_rows(height, width)
        """What the kernels work in."""
        self._peaks = room_for_peaks(1024)

    @property
    def background_tiles(self) -> Floats:
        """Background of each tile of the last frame, shape (tile rows, tile columns), in the unit of `Sensor`."""
        return self.room.tiles

    def __call__(self, image: Image, camera: Sensor) -> Peaks:
        """Find the molecules of a frame, all of them: the room grows with their number.

        Parameters
        ----------
        image
            Shape (height, width), uint16, ADU.
        camera
            As it was given, but for its offset, which may be another.

        Returns
        -------
        Peaks
            Views of memory that the next call writes to.
        """
        while True:
            pixel, height, background = self._peaks
            n = find_peaks(image, camera, self.matched, self._separation, self.room, self._peaks)
            if n <= len(pixel):
                return Peaks(pixel[:n], height[:n], background[:n])
            self._peaks = room_for_peaks(2 * n)


def _smooth(values: Floats, taps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convolve with `taps` along both axes, mirrored at the edges; one row stands for many that are alike."""
    rows, columns = values.shape
    padded = np.pad(values.astype(np.float64), REACH_PX, mode="symmetric")
    down = np.zeros((rows, columns + 2 * REACH_PX))
    for j, tap in enumerate(taps):
        down += tap * (padded[j : j + rows] if rows > 1 else padded[REACH_PX])
    return sum((tap * down[:, i : i + columns] for i, tap in enumerate(taps)), np.zeros((rows, columns)))


def _edge_variance(taps: npt.NDArray[np.float64], length: int) -> Floats:
    """Return the variance of smoothed noise along an axis mirrored at its ends, in parts of that in the middle."""
    n = min(length, 4 * REACH_PX)  # enough to hold both ends
    impulses = np.pad(np.eye(n), ((0, 0), (REACH_PX, REACH_PX)), mode="symmetric")
    response = sum((tap * impulses[:, i : i + n] for i, tap in enumerate(taps)), np.zeros((n, n)))
    ends = np.sum(response**2, axis=0) / np.sum(taps**2)
    return np.concatenate([ends[: n // 2], np.ones(length - n), ends[n // 2 :]]).astype(np.float32)
