"""A simulated camera chip: photons that hit pixels, background, read noise, gain, offset, saturation.

Every photon of a molecule is thrown on its own: the Gaussian is integrated over the pixel exactly, the
noise is Poisson's, and no photon is lost at the edge of a patch. Background and read noise of a pixel
are one look into a table of 65,536 quantiles of their common distribution, indexed by 16 random bits:
exact up to the resolution of the quantiles, which cuts the tails at 1 in 131,072. The noise is drawn
from `SplitMix64` (Steele, Lea & Flood, 2014) in a stream of its own for every frame.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.stacks.source import Image
from locstreamd.record.sample import Emissions, SimulationOptions

QUANTILES = 65_536
STEPS_PER_SIGMA, MAX_STEPS_PER_ELECTRON = 16, 320
"""Resolution on which the distribution of the noise is computed before its quantiles are taken."""
NO_READ_NOISE_E = 1e-3
"""Read noise below this leaves whole electrons."""
NOISE_STREAM = 2
"""Keeps the camera's random numbers apart from the sample's."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S16, S27, S30, S31 = np.uint64(16), np.uint64(27), np.uint64(30), np.uint64(31)
LOW_16 = np.uint64(0xFFFF)


class SimulatedChip:
    """Turns the emissions of one frame into the picture of it.

    Parameters
    ----------
    options
        Frame size, point spread function, background and the constants of the camera.
    """

    def __init__(self, options: SimulationOptions) -> None:
        self._pixel_size_nm = options.pixel_size_nm
        self._sigma_px = options.psf_sigma_nm / options.pixel_size_nm
        self._adu_per_e = 1 / options.gain_e_per_adu
        self._seed = options.seed
        self._normal = normal_quantiles()
        noise_e = noise_quantiles(options.background, options.read_noise_e)
        self._noise_adu = (noise_e / options.gain_e_per_adu + options.offset_adu).astype(np.float32)
        self._electrons = np.zeros((options.height, options.width), np.int32)

    def expose(self, number: int, emissions: Emissions, image: Image) -> None:
        """Take frame `number`: the same number and emissions give the same picture.

        Parameters
        ----------
        number
            Frame number; it chooses the stream of random numbers.
        emissions
            Dtype `EMISSION`, the molecules that shine in this frame.
        image
            Shape (height, width), uint16, written in place, ADU.
        """
        stream = np.random.SeedSequence((self._seed, NOISE_STREAM, number)).generate_state(1, np.uint64)[0]
        draw_frame(
            emissions["x_nm"] / self._pixel_size_nm,
            emissions["y_nm"] / self._pixel_size_nm,
            emissions["photons"].astype(np.int64),
            self._sigma_px,
            self._normal,
            self._noise_adu,
            self._adu_per_e,
            stream,
            self._electrons,
            image,
        )


def normal_quantiles() -> npt.NDArray[np.float32]:
    """Return the middles of 65,536 equally likely parts of the standard normal distribution."""
    normal = NormalDist()
    upper = [normal.inv_cdf((k + 0.5) / QUANTILES) for k in range(QUANTILES // 2, QUANTILES)]
    return np.concatenate([-np.array(upper[::-1]), np.array(upper)]).astype(np.float32)


def noise_quantiles(background: float, read_noise_e: float) -> npt.NDArray[np.float64]:
    """Return 65,536 equally likely values of background plus read noise in one pixel.

    Parameters
    ----------
    background
        Mean of the Poisson part, electrons.
    read_noise_e
        Standard deviation of the normal part, electrons.

    Returns
    -------
    numpy.ndarray
        Shape (65536,), electrons, ascending; whole numbers where there is no read noise.
    """
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    counts = np.arange(int(background + 12 * math.sqrt(background) + 24))
    poisson = np.array([_poisson(int(k), background) for k in counts])
    if read_noise_e < NO_READ_NOISE_E:
        return np.searchsorted(np.cumsum(poisson), middles).astype(np.float64)
    steps = min(math.ceil(STEPS_PER_SIGMA / read_noise_e), MAX_STEPS_PER_ELECTRON)
    reach = math.ceil(6 * read_noise_e * steps)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / steps / read_noise_e) ** 2)
    comb = np.zeros((len(counts) - 1) * steps + 1)
    comb[::steps] = poisson
    density = np.convolve(comb, bell / bell.sum())
    below = np.cumsum(density) - 0.5 * density
    return np.interp(middles, below, (np.arange(len(density)) - reach) / steps)


def _poisson(count: int, mean: float) -> float:
    if mean == 0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


@exact
def mix(state: np.uint64) -> np.uint64:
    """Return the random number that belongs to a state of SplitMix64; the next state is ``state + GOLDEN``."""
    bits = (state ^ (state >> S30)) * MIX_1
    bits = (bits ^ (bits >> S27)) * MIX_2
    return bits ^ (bits >> S31)


@exact
def draw_frame(
    columns: npt.NDArray[np.float64],
    rows: npt.NDArray[np.float64],
    photons: npt.NDArray[np.int64],
    sigma_px: float,
    normal: npt.NDArray[np.float32],
    noise_adu: npt.NDArray[np.float32],
    adu_per_e: float,
    state: np.uint64,
    electrons: npt.NDArray[np.int32],
    image: Image,
) -> None:
    """Write one frame.

    Parameters
    ----------
    columns, rows
        Shape (n,), px from the centre of pixel (0, 0).
    photons
        Shape (n,), how many to throw.
    sigma_px
        Standard deviation of the point spread function, px.
    normal, noise_adu
        Shape (65536,), quantiles: standard normal, and a pixel without molecules in ADU.
    adu_per_e
        What one photoelectron adds, ADU.
    state
        Start of the stream of random numbers.
    electrons
        Shape (height, width), scratch.
    image
        Shape (height, width), written, ADU.
    """
    height, width = image.shape
    electrons[:] = 0
    for k in range(len(columns)):
        for _ in range(photons[k]):
            state += GOLDEN
            bits = mix(state)
            column = int(np.floor(columns[k] + sigma_px * normal[bits & LOW_16] + 0.5))
            row = int(np.floor(rows[k] + sigma_px * normal[(bits >> S16) & LOW_16] + 0.5))
            if 0 <= column < width and 0 <= row < height:
                electrons[row, column] += 1
    bits = np.uint64(0)
    for row in range(height):
        for column in range(width):
            if column & 3 == 0:
                state += GOLDEN
                bits = mix(state)
            adu = noise_adu[bits & LOW_16] + adu_per_e * electrons[row, column]
            bits >>= S16
            image[row, column] = np.uint16(min(max(adu + np.float32(0.5), np.float32(0)), np.float32(65535)))
