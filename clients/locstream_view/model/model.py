"""The picture of one acquisition as it grows. One thread adds rows, another draws; each may be any."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from locstream.localizations import LOCALIZATION, Localizations, joined
from locstream.rendering import histogram
from locstream.rendering.grid import Picture, grid
from locstream.stacks.source import Image
from locstream_view.model import deep_zoom
from locstream_view.model.camera_average import CameraAverage, begin_average
from locstream_view.model.kept_rows import KeptRows
from locstream_view.model.pyramid import DEFAULT_PIXEL_NM, CountPyramid
from locstream_view.model.region import RegionNumbers, region_numbers
from locstream_view.model.settings import ColourBy, Drawing, Filters, ViewSettings, Window
from locstream_view.model.shown import Drawn
from locstream_view.model.trends import PerFrame, Trend

KEEP_ROWS = 20_000_000
"""Rows that stay in memory: 1.4 GB. Older ones stay in the picture, without filters and deep zoom."""
STEP_ROWS = 262_144
SHRUNK_AT_MOST = 1.42
"""How many pixels of the picture may share one of the screen, along each side: the next level would be coarser by
more. The screen then interpolates, which leaves no pixel out below 2."""
RECENT_ROWS = 20_000


@dataclass
class _Layer:
    """What is drawn: some rows, counted; and from which kept row on it has to be brought up to date."""

    filters: Filters
    colour_by: ColourBy
    pyramid: CountPyramid
    rows: int = 0
    upto: int = 0

    def add(self, rows: Localizations) -> None:
        chosen = rows if self.filters.open else rows[self.filters.mask(rows)]
        values = value_of(chosen, self.colour_by)
        self.pyramid.add(chosen["x_nm"], chosen["y_nm"], values)
        self.rows += len(chosen)


@dataclass(frozen=True)
class Counted:
    """How many rows there are, shown, and kept for filters and deep zoom."""

    total: int = 0
    shown: int = 0
    kept: int = 0


class ViewModel:
    """Rows in, pictures out.

    Parameters
    ----------
    width_px, height_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    dtype
        Of the rows.
    keep_rows
        How many rows stay in memory for filters, deep zoom and numbers.

    Attributes
    ----------
    average
        Of the camera frames that were looked at; None before the first.
    """

    def __init__(
        self,
        width_px: int,
        height_px: int,
        pixel_size_nm: float,
        *,
        dtype: np.dtype[np.void] = LOCALIZATION,
        keep_rows: int = KEEP_ROWS,
    ) -> None:
        self.width_px, self.height_px, self.pixel_size_nm = width_px, height_px, pixel_size_nm
        edge_nm = -0.5 * pixel_size_nm
        self.field = Window(edge_nm, edge_nm, width_px * pixel_size_nm, height_px * pixel_size_nm)
        self._lock = threading.RLock()
        self._kept = KeptRows(dtype, self.field, keep_rows)
        self._per_frame = PerFrame()
        self._all = self._layer(Filters(), "density")
        self._shown = self._all
        self._next: _Layer | None = None
        self.average: CameraAverage | None = None

    def look_at(self, image: Image) -> None:
        """Take one more camera frame into the average: shape (rows, columns), uint16. By one thread only."""
        average = self.average
        self.average = begin_average(image) if average is None else average.with_frame(image)

    @property
    def has_depth(self) -> bool:
        """True where the rows have a z."""
        return "z_nm" in (self._kept.dtype.names or ())

    @property
    def levels_nm(self) -> tuple[float, ...]:
        """The pixels at which counts are drawn, nm, finest first."""
        return tuple(level.bin_nm for level in self._all.pyramid.levels)

    def add(self, rows: Localizations, last_frame: int = -1) -> None:
        """Take rows, in the order of acquisition.

        Parameters
        ----------
        rows
            Shape (n,), of the model's dtype.
        last_frame
            The newest frame that is done, where it has no row.
        """
        with self._lock:
            self._per_frame.add(rows["frame"], last_frame)
            self._kept.add(rows)
            for layer in {id(each): each for each in (self._all, self._shown)}.values():
                layer.add(rows)

    def choose(self, filters: Filters, colour_by: ColourBy = "density") -> None:
        """Say which rows are shown and what their colour says; `step` makes it so, and every filter can be undone."""
        if colour_by == "depth" and not self.has_depth:
            colour_by = "density"
        with self._lock:
            wanted = (filters, colour_by)
            if wanted == (self._shown.filters, self._shown.colour_by):
                self._next = None
            elif wanted == (self._all.filters, self._all.colour_by):
                self._shown, self._next = self._all, None
            elif self._next is None or wanted != (self._next.filters, self._next.colour_by):
                self._next = self._layer(filters, colour_by)
                self._next.upto = self._kept.first

    def step(self) -> bool:
        """Bring the chosen rows on by one block; return whether more is to be done."""
        with self._lock:
            if (layer := self._next) is None:
                return False
            stop = min(layer.upto + STEP_ROWS, self._kept.end)
            layer.add(self._kept.rows(layer.upto, stop))
            layer.upto = stop
            if stop == self._kept.end:
                self._shown, self._next = layer, None
            return self._next is not None

    def settle(self) -> None:
        """Do all steps."""
        while self.step():
            pass

    @property
    def counted(self) -> Counted:
        """How many rows there are and are shown."""
        with self._lock:
            return Counted(self._kept.end, self._shown.rows, len(self._kept))

    @property
    def last_frame(self) -> int:
        """The newest frame, -1 before the first."""
        return self._per_frame.last_frame

    @property
    def trend(self) -> Trend:
        """Localizations per frame over time, of all rows."""
        with self._lock:
            return self._per_frame.trend

    def recent(self, filters: Filters) -> Localizations:
        """Return the latest rows that pass: at most `RECENT_ROWS` are looked at."""
        with self._lock:
            rows = self._kept.rows(self._kept.end - RECENT_ROWS, self._kept.end)
        return rows[filters.mask(rows)]

    def of_frame(self, number: int) -> Localizations:
        """Return the kept rows of one frame."""
        with self._lock:
            return self._kept.of_frame(number)

    def region(self, window: Window) -> RegionNumbers:
        """Return the numbers of a rectangle, of the kept rows that pass the filters in effect."""
        with self._lock:
            rows = self._kept.inside(window)
            filters = self._shown.filters
        return region_numbers(rows[filters.mask(rows)], window)

    def kept_rows(self, filters: Filters) -> Localizations:
        """Return a copy of every kept row that passes, oldest first."""
        with self._lock:
            blocks = [block[filters.mask(block)] for block in self._kept.blocks()]
        return joined([*blocks, self._kept.rows(0, 0)])

    def draw(self, window: Window, nm_per_px: float, settings: ViewSettings | None = None) -> Drawn:
        """Draw a part of the sample.

        Parameters
        ----------
        window
            What is in view.
        nm_per_px
            Edge of a pixel of the screen in the sample, nm.
        settings
            How it is drawn. Which rows, and what the colour says, is what was last chosen.
        """
        settings = settings or ViewSettings()
        with self._lock:
            layer = self._shown
            if (rows := self._for_gaussians(layer, window, nm_per_px, settings)) is None:
                # Too many rows for Gaussians are counted as finely as there are counts.
                least_nm = settings.pixel_nm if settings.drawing == "counts" else 0.0
                level = layer.pyramid.level_for(max(least_nm, nm_per_px / SHRUNK_AT_MOST))
                drawn = layer.pyramid.window(level, window)
        if rows is not None:
            bin_nm = deep_zoom.affordable_bin(rows, nm_per_px)
            drawn = deep_zoom.draw_gaussians(rows, window, bin_nm, value_of(rows, layer.colour_by))
        how: Drawing = "counts" if rows is None else "gaussians"
        average = self.average if settings.under == "camera" else None
        under = average.under(drawn[2], self.pixel_size_nm) if average is not None else None
        return Drawn(*drawn, how, layer.colour_by, self._span(layer, settings), under)

    def _for_gaussians(
        self, layer: _Layer, window: Window, nm_per_px: float, settings: ViewSettings
    ) -> Localizations | None:
        """Return the rows to draw as Gaussians, None where counts are to be drawn."""
        deep = settings.drawing == "gaussians" or (settings.drawing == "auto" and nm_per_px < settings.pixel_nm)
        if not deep:
            return None
        reaching = deep_zoom.with_margin(window)
        if self._kept.number_near(reaching, deep_zoom.MOST_ROWS) > deep_zoom.MOST_ROWS:
            return None
        rows = self._kept.inside(reaching)
        return rows[layer.filters.mask(rows)]

    def _span(self, layer: _Layer, settings: ViewSettings) -> tuple[float, float]:
        if layer.colour_by == "depth":
            return settings.depth_range_nm or self._usual_depths(layer.filters)
        limits = layer.filters.frame
        last = max(self.last_frame, 1)
        return (limits.low or 0.0, min(limits.high if limits.high is not None else last, last))

    def _usual_depths(self, filters: Filters) -> tuple[float, float]:
        depths = self.recent(filters)["z_nm"]
        depths = depths[np.isfinite(depths)]
        low, high = np.percentile(depths, (1, 99)) if len(depths) else (0.0, 1.0)
        return float(low), float(high)

    def image(self, bin_nm: float = DEFAULT_PIXEL_NM) -> Picture:
        """Return the whole field as an array for a notebook: localizations per pixel.

        Parameters
        ----------
        bin_nm
            Edge of a pixel, nm: one of `levels_nm` costs nothing; any other is counted from the kept rows.

        Returns
        -------
        numpy.ndarray
            Shape (rows, columns), float32; row 0 is the top, its upper left corner that of camera pixel (0, 0).
        """
        with self._lock:
            layer = self._shown
            if bin_nm in self.levels_nm:
                return layer.pyramid.window(self.levels_nm.index(bin_nm), self.field)[0]
            where = grid(self.height_px, self.width_px, self.pixel_size_nm, bin_nm)
            image = np.zeros(where.shape, np.float32)
            for rows in self._kept.blocks():
                chosen = rows[layer.filters.mask(rows)]
                histogram.accumulate(image, where, chosen["x_nm"], chosen["y_nm"])
        return image

    def _layer(self, filters: Filters, colour_by: ColourBy) -> _Layer:
        weighted = colour_by != "density"
        pyramid = CountPyramid(self.width_px, self.height_px, self.pixel_size_nm, weighted=weighted)
        return _Layer(filters, colour_by, pyramid)


def value_of(rows: Localizations, colour_by: ColourBy) -> npt.NDArray[np.floating] | None:
    """Return what the colour of each row says: shape (n,); None where the colour says how many."""
    if colour_by == "density":
        return None
    return np.asarray(rows["frame" if colour_by == "time" else "z_nm"], np.float32)
