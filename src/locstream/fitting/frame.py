"""One frame in one call: all that is done between its pixels and its rows, and the room it is done in.

What the kernels need beside the frame stays the same from frame to frame: the camera, the filter, all room to work in.
That is some fifty arrays, and numba takes a twentieth of a microsecond to look at each that Python hands it. So they
are handed over once, as a `Workplace`, which is one reference ever after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.experimental import structref

from locstream.compiled import exact
from locstream.fitting.depth import Curves, write_depths
from locstream.fitting.gaussian import WIDTH_PRIOR, SpotFits, X, Y, fit_boxes, room_for_fits
from locstream.fitting.groups import GroupRoom
from locstream.fitting.instructions import borrowed
from locstream.fitting.matched_filter import MatchedFilter, Peaks, Room, find_peaks, room_for_peaks
from locstream.fitting.options import FitOptions
from locstream.fitting.overlaps import resolve_overlaps, room_to_find
from locstream.fitting.sensor import Sensor
from locstream.fitting.spots import Spots, cut_spots, first_spots, room_for_spots
from locstream.fitting.starts import StartWeights
from locstream.fitting.table import write_rows
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations
from locstream.stacks.source import Image


class Job(NamedTuple):
    """What is to be done with every frame, in the unit of `Sensor` and px.

    Parameters
    ----------
    separation, threshold, box
        As in `FitOptions`.
    sigma
        Width of the image of a molecule in focus.
    photons_per_height
        Light of a molecule for each unit of its peak's height.
    saturation_adu
        A pixel with as much tells nothing.
    width_known
        Whether the width is no unknown.
    pixel_nm, photons_per_unit
        For the table.
    """

    separation: int
    threshold: float
    box: int
    sigma: float
    photons_per_height: float
    saturation_adu: float
    width_known: bool
    pixel_nm: float
    photons_per_unit: float


_structref: Any = structref  # not annotated
_unliteral: Any = types.unliteral
_typeof: Any = numba.typeof

CompiledFor = tuple[tuple[np.float32, ...], tuple[np.float32, ...]]


@_structref.register
class _WorkplaceType(types.StructRef):
    def preprocess_fields(self, fields: Any) -> Any:
        """Take values as what they are, not as constants."""
        return tuple((name, _unliteral(kind)) for name, kind in fields)


class Workplace(structref.StructRefProxy):
    """All that a frame is localized with, as `lay_out` makes it; its insides are for kernels only.

    It keeps its arrays, which kernels borrow without counting.
    """

    camera: Sensor
    matched: MatchedFilter
    room: Room
    peaks: Peaks
    spots: Spots
    fits: SpotFits
    groups: GroupRoom
    weights: StartWeights
    compiled_for: CompiledFor
    job: Job
    found: npt.NDArray[np.int64]
    _kept: tuple[object, ...]


_structref.define_boxing(_WorkplaceType, Workplace)
_fields = [name for name in Workplace.__annotations__ if not name.startswith("_")]
_structref.define_constructor(Workplace, _WorkplaceType, _fields)
_new: Any = Workplace


@exact
def _lay_out(
    camera: Sensor, matched: MatchedFilter, room: Room, peaks: Peaks, spots: Spots, fits: SpotFits, groups: GroupRoom,
    weights: StartWeights, compiled_for: CompiledFor, job: Job, found: npt.NDArray[np.int64],
) -> Workplace:  # fmt: skip
    made: Workplace = _new(
        borrowed(camera), borrowed(matched), borrowed(room), borrowed(peaks), borrowed(spots), borrowed(fits),
        borrowed(groups), borrowed(weights), compiled_for, job, found,
    )  # fmt: skip
    return made


def lay_out(
    camera: Sensor, matched: MatchedFilter, room: Room, peaks: Peaks, spots: Spots, fits: SpotFits, groups: GroupRoom,
    weights: StartWeights, compiled_for: CompiledFor, job: Job, found: npt.NDArray[np.int64],
) -> Workplace:  # fmt: skip
    """Return a workplace. `found`, shape (1,), int64, takes the number of peaks, whether there is room or not."""
    made = _lay_out(camera, matched, room, peaks, spots, fits, groups, weights, compiled_for, job, found)
    made._kept = camera, matched, room, peaks, spots, fits, groups, weights
    return made


def room_for_molecules(peaks: int, camera: Sensor, options: FitOptions) -> tuple[Peaks, Spots, SpotFits]:
    """Return room for so many peaks, and for what is found beside them."""
    alike = bool(np.ptp(camera.variance) == 0)
    return (
        room_for_peaks(peaks),
        room_for_spots(peaks, options.box_px, alike),
        room_for_fits(peaks + room_to_find(peaks), options.model),
    )


@numba.njit(inline="always")
def _fit_frame(image: Image, workplace: Workplace) -> tuple[int, SpotFits]:
    """Find and fit the molecules of a frame; return their number and the fits, positions in px of the frame.

    Where there is no room for so many peaks there is none at all.
    """
    camera, job, room = workplace.camera, workplace.job, workplace.fits
    pixel, height, background = workplace.peaks
    n = find_peaks(image, camera, workplace.matched, job.separation, workplace.room, workplace.peaks)
    workplace.found[0] = n
    if n == 0 or n > pixel.shape[0]:
        return 0, room
    peaks = Peaks(pixel[:n], height[:n], background[:n])
    spots = first_spots(workplace.spots, n)
    most = n + room_to_find(n)
    fits = SpotFits(
        room.estimate[:most], room.uncertainty[:most], room.chi2[:most], room.iterations[:most], room.status[:most]
    )
    cut_spots(
        image, camera, job.saturation_adu, peaks, job.photons_per_height, job.sigma, workplace.weights,
        workplace.compiled_for, spots,
    )  # fmt: skip
    fit_boxes(spots.light, spots.known, spots.start, job.sigma, WIDTH_PRIOR, workplace.compiled_for, fits)
    for k in range(n):
        fits.estimate[k, X] += spots.corner[k, 1]
        fits.estimate[k, Y] += spots.corner[k, 0]
    n = resolve_overlaps(
        image, camera, job.saturation_adu, job.threshold, job.sigma, peaks, spots, job.box, job.width_known,
        workplace.groups, fits,
    )  # fmt: skip
    return n, fits


@exact
def localize(image: Image, workplace: Workplace, frame: int) -> Localizations:
    """Return the rows of a frame, none where there was no room for its peaks."""
    n, fits = _fit_frame(image, workplace)
    rows, job, (height, width) = np.empty(n, LOCALIZATION), workplace.job, image.shape
    kept = write_rows(fits, n, height, width, frame, job.pixel_nm, job.photons_per_unit, rows)
    return rows[:kept]


@exact
def localize_with_depth(image: Image, workplace: Workplace, frame: int, along: Curves) -> Localizations:
    """Return the rows of a frame with their depth, none where there was no room for its peaks."""
    n, fits = _fit_frame(image, workplace)
    rows, job, (height, width) = np.empty(n, LOCALIZATION_3D), workplace.job, image.shape
    write_rows(fits, n, height, width, frame, job.pixel_nm, job.photons_per_unit, rows)
    kept = write_depths(fits, n, height, width, job.pixel_nm, along, rows)
    return rows[:kept]


Localize = Callable[..., Localizations]


def compiled_localize(workplace: Workplace, along: Curves | None = None) -> Localize:
    """Return `localize`, or `localize_with_depth` where there are curves, as compiled for a workplace.

    numba finds out the type of each argument at every call, and takes half a microsecond to find out that of a
    workplace: here it does so once. What is returned trusts whoever calls it: the image has to be of uint16, in C
    order and aligned, the frame's number an int.
    """
    image = np.empty((1, 1), np.uint16)
    image.flags.writeable = False
    kernel: Any = localize if along is None else localize_with_depth
    given = (image, workplace, 0) if along is None else (image, workplace, 0, along)
    made: Localize = kernel.compile(tuple(_typeof(argument) for argument in given))
    return made
