"""Detection: where in a frame a molecule shines.

A frame is smoothed with a Gaussian as wide as the image of a molecule (the matched filter). A pixel is a molecule's
where the smoothed image exceeds the background by ``threshold`` standard deviations of its own noise and no pixel
nearby is higher. Background and noise come from the frame and the camera calibration, hence one threshold for all.

The background is the mean of the pixels of a tile without those that stand out, interpolated between tiles. A plain
box mean would be lifted by the molecules themselves and hide the dim neighbours of bright ones.

Rows stream through ring buffers that stay in the cache, and every inner loop runs along a row with unit stride.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

REACH_PX = 3
"""The filter has 2 · REACH_PX + 1 taps a side: enough for 98 % of the signal-to-noise ratio up to sigma = 2 px."""
MARGIN = 16
"""Margin of a row that is smoothed along: at least REACH_PX, and whole vector registers to keep the row aligned."""
TILE_PX = 16
"""Edge of a background tile."""
CLIP_SIGMAS = 2.0
"""Pixels of a tile this many standard deviations above its mean are left out of the next mean."""
CLIP_BIAS_SIGMAS = 0.0552
"""What that costs the mean of a tile without molecules: the mean of a normal deviate below 2 is -0.0552."""
CLIP_ROUNDS = (4, 2, 1)
"""The mean of a tile is taken once of all pixels and twice of those below the limit; first of every 4th row only."""


class Peaks(NamedTuple):
    """Where the molecules of a frame are, in reading order.

    Parameters
    ----------
    pixel
        Row and column of each, shape (n, 2), int32.
    height
        Smoothed image above the background, shape (n,), float32, in the unit of `Sensor`.
    background
        Background there, shape (n,), float32, in the unit of `Sensor` a pixel.
    """

    pixel: Ints
    height: Floats
    background: Floats


class MatchedFilter(NamedTuple):
    """What decides which pixels stand out.

    Parameters
    ----------
    taps
        Middle and one side of the normalized filter, shape (REACH_PX + 1,).
    shot
        threshold² times the variance of the smoothed image for each unit of background.
    skew
        What the upper tail of Poisson noise adds to the limit.
    noise
        threshold² times the variance of the smoothed image without light, of the shape of `Sensor.variance`.
    tile_noise
        Variance of a typical pixel without light in each background tile.
    edge_rows, edge_columns
        How much larger the variance of the smoothed image is in each row and column than in the middle, shapes
        (height,) and (width,): near an edge the mirror counts pixels twice.
    """

    taps: Floats
    shot: np.float32
    skew: np.float32
    noise: Floats
    tile_noise: Floats
    edge_rows: Floats
    edge_columns: Floats


U = np.uintp
"""An index that numba does not test for being negative; the test would keep LLVM from vectorizing the loop."""

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


@_jit
def _sum_below(
    image: Image, y: int, offset: Floats, scale: Floats, ceiling: Floats, total: Floats, count: Floats
) -> None:
    """Add the pixels of row ``y`` that do not exceed the ceiling to the totals of their columns."""
    offset_row, scale_row = y % offset.shape[0], y % scale.shape[0]
    for x in range(U(image.shape[1])):
        electrons = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]
        below = electrons <= ceiling[x]
        total[x] += electrons if below else np.float32(0)
        count[x] += np.float32(1) if below else np.float32(0)


@_jit
def background_tiles(image: Image, offset: Floats, scale: Floats, tile_noise: Floats) -> Floats:
    """Return the background of every tile, shape (tile rows, tile columns), in the unit of `Sensor`."""
    height, width = image.shape
    rows, columns = tile_noise.shape
    tiles = np.empty((rows, columns), np.float32)
    ceiling, total, count = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(rows):
        top, bottom = row * height // rows, (row + 1) * height // rows
        ceiling[:] = np.inf
        for every in CLIP_ROUNDS:
            total[:] = 0
            count[:] = 0
            for y in range(top, bottom, every):
                _sum_below(image, y, offset, scale, ceiling, total, count)
            for column in range(columns):
                left, right = U(column * width // columns), U((column + 1) * width // columns)
                light = kept = np.float32(0)
                for x in range(left, right):
                    light += total[x]
                    kept += count[x]
                mean = light / kept if kept > 0 else tiles[row, column]
                sigma = np.sqrt(max(mean, np.float32(0)) + tile_noise[row, column])
                if ceiling[left] < np.inf:
                    mean += np.float32(CLIP_BIAS_SIGMAS) * sigma
                tiles[row, column] = mean
                for x in range(left, right):
                    ceiling[x] = mean + np.float32(CLIP_SIGMAS) * sigma
    return tiles


@_jit
def _between_tiles(position: int, length: int, tiles: int) -> tuple[int, np.float32]:
    """Return the tile before pixel ``position`` and how far it lies on the way to the next one, from 0 to 1."""
    along = (np.float32(position) + np.float32(0.5)) * np.float32(tiles) / np.float32(length) - np.float32(0.5)
    first = min(max(int(np.floor(along)), 0), max(tiles - 2, 0))
    return first, min(max(along - np.float32(first), np.float32(0)), np.float32(1))


@_jit
def _spread_columns(tiles: Floats, row: int, before: Ints, part: Floats, lines: Floats) -> None:
    """Interpolate one row of tiles, or the last, to every column of the frame."""
    source, line, last = min(row, tiles.shape[0] - 1), row % 2, tiles.shape[1] - 1
    for x in range(U(lines.shape[1])):
        left, right = tiles[source, U(before[x])], tiles[source, U(min(before[x] + 1, last))]
        lines[line, x] = left + part[x] * (right - left)


@_jit
def _mirror(index: int, length: int) -> int:
    """Reflect an index outside 0 … length - 1 at the edge it passed."""
    if index < 0:
        return -1 - index
    return 2 * length - 1 - index if index >= length else index


@_jit
def _photoelectrons(image: Image, y: int, offset: Floats, scale: Floats, rows: Floats) -> None:
    """Convert row ``y`` of the frame."""
    offset_row, scale_row, row = y % offset.shape[0], y % scale.shape[0], y % rows.shape[0]
    for x in range(U(image.shape[1])):
        rows[row, x] = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]


@_jit
def _smooth_down(rows: Floats, y: int, height: int, taps: Floats, padded: Floats) -> None:
    """Apply the filter along columns; the frame is mirrored at its edges, and so are the margins of the result."""
    n, width = rows.shape
    r0 = y % n
    a1, b1 = _mirror(y - 1, height) % n, _mirror(y + 1, height) % n
    a2, b2 = _mirror(y - 2, height) % n, _mirror(y + 2, height) % n
    a3, b3 = _mirror(y - 3, height) % n, _mirror(y + 3, height) % n
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for x in range(U(width)):
        padded[x + U(MARGIN)] = (
            t0 * rows[r0, x]
            + t1 * (rows[a1, x] + rows[b1, x])
            + t2 * (rows[a2, x] + rows[b2, x])
            + t3 * (rows[a3, x] + rows[b3, x])
        )
    for k in range(REACH_PX):
        padded[MARGIN - 1 - k] = padded[MARGIN + k]
        padded[MARGIN + width + k] = padded[MARGIN + width - 1 - k]


@_jit
def _smooth_along(padded: Floats, taps: Floats, smooth: Floats, row: int) -> None:
    """Apply the filter along a row."""
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for x in range(U(MARGIN), U(padded.shape[0] - MARGIN)):
        smooth[row, x] = (
            t0 * padded[x]
            + t1 * (padded[x - U(1)] + padded[x + U(1)])
            + t2 * (padded[x - U(2)] + padded[x + U(2)])
            + t3 * (padded[x - U(3)] + padded[x + U(3)])
        )


@_jit
def _mark(
    smooth: Floats,
    row: int,
    lines: Floats,
    tile_row: int,
    part: np.float32,
    shot: np.float32,
    skew: np.float32,
    noise: Floats,
    y: int,
    marks: npt.NDArray[np.uint8],
) -> None:
    """Mark the maxima of a row that exceed the background by its noise; squares spare the root."""
    above, below, noise_row = tile_row % 2, (tile_row + 1) % 2, y % noise.shape[0]
    for x in range(U(lines.shape[1])):
        background = lines[above, x] + part * (lines[below, x] - lines[above, x])
        value = smooth[row, x + U(MARGIN)]
        height = max(value - background - skew, np.float32(0))
        high = height * height > shot * max(background, np.float32(0)) + noise[noise_row, x]
        peak = (value > smooth[row, x + U(MARGIN - 1)]) & (value >= smooth[row, x + U(MARGIN + 1)])
        marks[row, x] = np.uint8(high & peak)


@_jit
def _is_maximum(smooth: Floats, y: int, x: int, height: int, separation: int) -> bool:
    """Tell whether no pixel within ``separation`` is higher; of equal ones the first in reading order counts."""
    n = smooth.shape[0]
    value = smooth[y % n, U(MARGIN + x)]
    for dy in range(1, separation + 1):  # nearest rows first: they decide most often
        above, below = y - dy, y + dy
        for i in range(U(MARGIN + x - separation), U(MARGIN + x + separation + 1)):
            if (above >= 0 and smooth[above % n, i] >= value) or (below < height and smooth[below % n, i] > value):
                return False
    for dx in range(1, separation + 1):
        if smooth[y % n, U(MARGIN + x - dx)] >= value or smooth[y % n, U(MARGIN + x + dx)] > value:
            return False
    return True


@_jit
def _scan(
    image: Image,
    offset: Floats,
    scale: Floats,
    tiles: Floats,
    taps: Floats,
    shot: np.float32,
    skew: np.float32,
    noise: Floats,
    edge_rows: Floats,
    edge_columns: Floats,
    separation: int,
    peak_pixel: Ints,
    peak_height: Floats,
    peak_background: Floats,
) -> int:
    """Stream the rows of a frame through the filter and keep its peaks; return how many there are.

    The arrays come one by one, not in tuples: of those numba would count the references at every use.
    """
    height, width = image.shape
    before, part_x = np.empty(width, np.int32), np.empty(width, np.float32)
    for x in range(width):
        before[x], part_x[x] = _between_tiles(x, width, tiles.shape[1])
    lines = np.empty((2, width), np.float32)  # background along the middles of two rows of tiles
    _spread_columns(tiles, 0, before, part_x, lines)
    tile_row = -1
    electrons = np.empty((2 * REACH_PX + 1, width), np.float32)
    padded = np.empty(width + 2 * MARGIN, np.float32)
    ring = 2 * separation + 1
    smooth = np.full((ring, width + 2 * MARGIN), -np.inf, np.float32)
    words = np.zeros((ring, (width + 7) // 8), np.uint64)  # eight marks in each
    marks = words.view(np.uint8)
    for y in range(REACH_PX):
        _photoelectrons(image, y, offset, scale, electrons)
    n = 0
    for y in range(height + separation):
        if y < height:
            if y + REACH_PX < height:
                _photoelectrons(image, y + REACH_PX, offset, scale, electrons)
            _smooth_down(electrons, y, height, taps, padded)
            _smooth_along(padded, taps, smooth, y % ring)
            first, part = _between_tiles(y, height, tiles.shape[0])
            if first != tile_row:
                tile_row = first
                _spread_columns(tiles, first + 1, before, part_x, lines)
            _mark(smooth, y % ring, lines, first, part, shot, skew, noise, y, marks)
        middle = y - separation  # the last row whose neighbours are known
        if middle < 0:
            continue
        row = middle % ring
        for word in range(words.shape[1]):
            if words[row, U(word)] == 0:
                continue
            for x in range(8 * word, min(8 * word + 8, width)):
                if not (marks[row, U(x)] and _is_maximum(smooth, middle, x, height, separation)):
                    continue
                background = _background_at(tiles, middle, x, height, width)
                excess = smooth[row, MARGIN + x] - background
                variance = shot * max(background, 0.0) + noise[middle % noise.shape[0], x]
                if max(excess - skew, 0.0) ** 2 <= variance * edge_rows[middle] * edge_columns[x]:
                    continue
                if n < peak_pixel.shape[0]:
                    peak_pixel[n, 0], peak_pixel[n, 1] = middle, x
                    peak_height[n], peak_background[n] = excess, background
                n += 1
    return n


@_jit
def find_peaks(image: Image, camera: Sensor, matched: MatchedFilter, separation: int, peaks: Peaks) -> int:
    """Find the peaks of a frame; see `Detector`.

    Returns their number. Where there is no room for so many, the rest was counted and not kept: call again with more.
    """
    offset, scale, _ = camera
    taps, shot, skew, noise, tile_noise, edge_rows, edge_columns = matched
    pixel, height, background = peaks
    tiles = background_tiles(image, offset, scale, tile_noise)
    return _scan(
        image, offset, scale, tiles, taps, shot, skew, noise, edge_rows, edge_columns, separation, pixel, height,
        background,
    )  # fmt: skip


@_jit
def _background_at(tiles: Floats, y: int, x: int, height: int, width: int) -> float:
    """Interpolate the background between the tiles around one pixel."""
    j, down = _between_tiles(y, height, tiles.shape[0])
    i, along = _between_tiles(x, width, tiles.shape[1])
    j1, i1 = min(j + 1, tiles.shape[0] - 1), min(i + 1, tiles.shape[1] - 1)
    above = tiles[j, i] + along * (tiles[j, i1] - tiles[j, i])
    below = tiles[j1, i] + along * (tiles[j1, i1] - tiles[j1, i])
    return float(above + down * (below - above))


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
        self._capacity = 1024
        offsets = np.arange(-REACH_PX, REACH_PX + 1)
        gauss = np.exp(-0.5 * (offsets / sigma_px) ** 2)
        taps = gauss / gauss.sum()
        self.photons_per_height = float(2 * np.pi * sigma_px**2 / np.sum(taps * gauss) ** 2)
        """Photoelectrons of a molecule in the middle of a pixel for each unit of its height."""
        self._filter = MatchedFilter(
            taps=taps[REACH_PX:].astype(np.float32),
            shot=np.float32(threshold**2 * np.sum(taps**2) ** 2),
            # The first term of the Cornish–Fisher expansion for the third moment of filtered Poisson noise: with it
            # false peaks are as rare at 1 photon a pixel as at 1000.
            skew=np.float32((threshold**2 - 1) / 6 * (np.sum(taps**3) / np.sum(taps**2)) ** 2),
            noise=(threshold**2 * _smooth(camera.variance, taps**2)).astype(np.float32),
            tile_noise=_tile_medians(camera.variance, height, width),
            edge_rows=_edge_variance(taps, height),
            edge_columns=_edge_variance(taps, width),
        )

    def __call__(self, image: Image, camera: Sensor) -> Peaks:
        """Find the molecules of a frame, all of them: the room grows with their number.

        Parameters
        ----------
        image
            Shape (height, width), uint16, ADU.
        camera
            As it was given, but for its offset, which may be another.
        """
        while True:
            room = Peaks(
                np.empty((self._capacity, 2), np.int32),
                np.empty(self._capacity, np.float32),
                np.empty(self._capacity, np.float32),
            )
            n = find_peaks(image, camera, self._filter, self._separation, room)
            if n <= self._capacity:
                return Peaks(room.pixel[:n], room.height[:n], room.background[:n])
            self._capacity = 2 * n


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


def _tile_medians(values: Floats, height: int, width: int) -> Floats:
    """Return the median over each background tile."""
    full = np.broadcast_to(values, (height, width))
    rows, columns = max(1, height // TILE_PX), max(1, width // TILE_PX)
    medians = [
        [
            np.median(
                full[j * height // rows : (j + 1) * height // rows, i * width // columns : (i + 1) * width // columns]
            )
            for i in range(columns)
        ]
        for j in range(rows)
    ]
    return np.array(medians, np.float32)
