"""From a stack of beads over z to an astigmatism calibration, or to the reason why there can be none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from locstream.calibrating.beads import BOX_PX, BeadScan, Planes, find_beads, scan_bead
from locstream.calibrating.width_curves import WidthCurves, Widths, crossing, fit_curves
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.errors import ConfigError
from locstream.fitting.depth import GRID_NM, Curves, depth

Doubles = npt.NDArray[np.float64]

MIN_PLANES = 10
"""Planes that a stack must have, and planes within the range of the calibration."""
WIDEST = 2.2
"""Planes in which a bead is wider than so many times its round image are left out."""
MIN_ELONGATION = 1.2
"""In the focus of either axis the image is longer along the other by so much at least."""
MIN_RANGE_NM = 200.0
DEGREES = (4, 6, 8)
"""Degrees that are tried; the lowest is taken that is nearly as good as the best."""
AS_GOOD = 1.15
ODD_ONE = 3.0
"""A bead that departs from the curves by so many times what others do is left out: two that touch, or dirt."""
ADVICE = "take a stack of single bright beads over ± 500 nm or more about the focus, in steps of 10 to 50 nm"


@dataclass(frozen=True, eq=False)
class MeasuredAstigmatism:
    """A calibration, and what it comes from.

    Parameters
    ----------
    calibration
        What is stored.
    widths
        The widths that were used, at the depths they turned out to have.
    residual_x_px, residual_y_px
        By how much they exceed the curves, px.
    found
        Number of beads found; the calibration tells how many were used.
    """

    calibration: AstigmatismCalibration
    widths: Widths
    residual_x_px: Doubles
    residual_y_px: Doubles
    found: int


def calibrate_astigmatism(
    planes: Planes, step_nm: float, pixel_size_nm: float | None = None, stack: str = ""
) -> MeasuredAstigmatism:
    """Measure how the image of a bead changes with depth.

    Parameters
    ----------
    planes
        Shape (planes, rows, columns), ADU: one frame a plane.
    step_nm
        Distance from one plane to the next, nm; negative where z falls with the planes.
    pixel_size_nm
        Edge of a pixel in the sample, nm; None where it is not known.
    stack
        Name of the stack, for the record.

    Raises
    ------
    ConfigError
        There are too few planes or beads, or the images are not astigmatic.
    """
    if not (np.isfinite(step_nm) and 0.1 <= abs(step_nm) <= 2_000):
        raise ConfigError(f"the step between planes, {step_nm:g} nm, is not within 0.1 … 2,000 nm")
    if len(planes) < MIN_PLANES:
        raise ConfigError(f"the stack has {len(planes)} planes; a calibration takes {MIN_PLANES} at least", todo=ADVICE)
    if min(planes.shape[1:]) < BOX_PX:
        raise ConfigError(f"the frames are smaller than the {BOX_PX} × {BOX_PX} px in which a bead is fitted")
    found = find_beads(planes)
    if not found:
        raise ConfigError("no bead was found that stands alone and away from the edge", todo=ADVICE)
    widths = _aligned([scan_bead(planes, bead) for bead in found], step_nm)
    curves = _without_odd_ones(widths)
    low_um, high_um = _range(curves)
    _require_astigmatism(curves, low_um, high_um)
    inside = curves.widths.where((low_um <= curves.widths.z_um) & (curves.widths.z_um <= high_um))
    if len(np.unique(inside.plane)) < MIN_PLANES or high_um - low_um < MIN_RANGE_NM / 1000:
        raise ConfigError(
            f"only {len(np.unique(inside.plane))} planes show the beads well enough, over "
            f"{1000 * (high_um - low_um):.0f} nm; a calibration takes {MIN_PLANES} over {MIN_RANGE_NM:.0f} nm",
            todo=ADVICE,
        )
    return _best(inside, low_um, high_um, len(found), len(planes), step_nm, pixel_size_nm, stack)


def _aligned(scans: list[BeadScan], step_nm: float) -> Widths:
    """Gather the beads whose widths cross, with z counted from there; most decide which way they do."""
    crossings = [crossing(scan) for scan in scans]
    ways = [each[1] for each in crossings if each is not None]
    if not ways:
        raise ConfigError(
            "the images are not astigmatic: in no bead does the larger width change from one axis to the other",
            todo="is the cylindrical lens in the beam, and does the stack go through the focus?",
        )
    way = 1.0 if sum(ways) >= 0 else -1.0
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    for scan, found in zip(scans, crossings, strict=True):
        if found is None or found[1] != way:
            continue
        used = _near_focus(scan, found[0])
        plane = scan.plane[used]
        z_um = (plane - found[0]) * step_nm / 1000
        parts.append((np.full(len(plane), len(parts)), plane, z_um, scan.sigma_x_px[used], scan.sigma_y_px[used]))
    return Widths(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _near_focus(scan: BeadScan, where_round: float) -> npt.NDArray[np.intp]:
    """Return the planes around that of the round image in which the bead is not much wider, without a gap."""
    k = int(np.searchsorted(scan.plane, where_round))
    widest = np.maximum(scan.sigma_x_px, scan.sigma_y_px)
    limit = WIDEST * float(np.mean(widest[max(k - 1, 0) : k + 1]))
    first, last = k, k - 1
    while first > 0 and widest[first - 1] <= limit and scan.plane[min(first, k)] - scan.plane[first - 1] <= 2:
        first -= 1
    while last + 1 < len(widest) and widest[last + 1] <= limit and scan.plane[last + 1] - scan.plane[last] <= 2:
        last += 1
    return np.arange(first, last + 1)


def _without_odd_ones(widths: Widths) -> WidthCurves:
    """Fit curves, without beads that depart from them."""
    while True:
        curves = fit_curves(widths, DEGREES[0] if len(np.unique(widths.plane)) > DEGREES[0] else 2)
        residual_x, residual_y = curves.residuals_px()
        squares = residual_x**2 + residual_y**2
        departs = np.array([np.sqrt(np.mean(squares[widths.bead == k])) for k in range(int(widths.bead.max()) + 1)])
        odd = int(np.argmax(departs))
        if len(departs) < 3 or departs[odd] < ODD_ONE * np.median(departs):
            return curves
        kept = widths.where(widths.bead != odd)
        widths = Widths(kept.bead - (kept.bead > odd), kept.plane, kept.z_um, kept.sigma_x_px, kept.sigma_y_px)


def _range(curves: WidthCurves) -> tuple[float, float]:
    """Return the depths, µm, that at least half of the beads reach and in which the widths still part."""
    of_beads = [curves.widths.z_um[curves.widths.bead == k] for k in range(int(curves.widths.bead.max()) + 1)]
    low = float(np.median([z.min() for z in of_beads]))
    high = float(np.median([z.max() for z in of_beads]))
    z = np.linspace(low, high, 1001)
    parting = np.diff(curves.sigma_x_px(z) - curves.sigma_y_px(z))
    middle = int(np.clip(np.searchsorted(z, 0.0), 1, len(parting) - 1))
    back = np.flatnonzero(parting * parting[middle] <= 0)
    below, above = back[back < middle], back[back > middle]
    return float(z[below[-1] + 1] if len(below) else low), float(z[above[0]] if len(above) else high)


def _require_astigmatism(curves: WidthCurves, low_um: float, high_um: float) -> None:
    """Refuse beads that are never much longer along one axis than along the other, where they are in focus."""
    z = np.linspace(low_um, high_um, 1001)
    x, y = curves.sigma_x_px(z), curves.sigma_y_px(z)
    along_y, along_x = float((y / x)[np.argmin(x)]), float((x / y)[np.argmin(y)])
    if min(along_x, along_y) < MIN_ELONGATION:
        raise ConfigError(
            f"the images are not astigmatic: in the focus of x a bead is {along_y:.2f} times as long along y as along "
            f"x, in the focus of y {along_x:.2f} times as long along x; {MIN_ELONGATION:g} is the least",
            todo="is the cylindrical lens in the beam, and are the steps small enough to show both foci?",
        )


def _best(
    widths: Widths, low_um: float, high_um: float, found: int, planes: int, step_nm: float,
    pixel_size_nm: float | None, stack: str,
) -> MeasuredAstigmatism:  # fmt: skip
    """Return the calibration with the lowest degree that predicts z nearly as well as any."""
    degrees = [degree for degree in DEGREES if len(np.unique(widths.plane)) >= 2 * (degree + 1)] or [DEGREES[0]]
    errors = {}
    for degree in degrees:
        error = np.concatenate([left_out_errors_nm(widths, degree, parity) for parity in (0, 1)])
        errors[degree] = float(np.sqrt(np.mean(error**2)))
    degree = next(degree for degree in degrees if errors[degree] <= AS_GOOD * min(errors.values()))
    curves = fit_curves(widths, degree)
    residual_x, residual_y = curves.residuals_px()
    calibration = AstigmatismCalibration(
        variance_x_px2=tuple(curves.variance_x_px2.tolist()),
        variance_y_px2=tuple(curves.variance_y_px2.tolist()),
        z_min_nm=1000 * low_um,
        z_max_nm=1000 * high_um,
        pixel_size_nm=pixel_size_nm,
        residual_px=float(np.sqrt(np.mean(np.square([residual_x, residual_y])))),
        z_residual_nm=errors[degree],
        beads=len(np.unique(widths.bead)),
        planes=planes,
        step_nm=step_nm,
        stack=stack,
    )
    return MeasuredAstigmatism(calibration, curves.widths, residual_x, residual_y, found)


def left_out_errors_nm(widths: Widths, degree: int, parity: int) -> Doubles:
    """Return the errors of z in the planes whose number has a parity, with curves from the other planes, nm.

    Planes beyond those that the curves come from are not counted. Each bead lies where the other planes put it.
    """
    left_out = widths.plane % 2 == parity
    others, asked = widths.where(~left_out), widths.where(left_out)
    curves = fit_curves(others, degree)
    moved_um = curves.widths.z_um - others.z_um
    low, high = curves.widths.z_um.min(), curves.widths.z_um.max()
    z = np.linspace(low, high, 2 + int((high - low) * 1000 / GRID_NM))
    along = Curves(curves.variance_x_px2, curves.variance_y_px2, 1000 * z, curves.sigma_x_px(z), curves.sigma_y_px(z))
    residual_x, residual_y = (float(np.sqrt(np.mean(r**2))) for r in curves.residuals_px())
    errors = []
    for bead, z_um, sigma_x, sigma_y in zip(asked.bead, asked.z_um, asked.sigma_x_px, asked.sigma_y_px, strict=True):
        own = others.bead == bead
        truth = z_um + np.mean(moved_um[own]) if own.any() else np.nan
        if low < truth < high:
            found, _ = depth(sigma_x, sigma_y, max(residual_x, 1e-3), max(residual_y, 1e-3), 0.0, along)
            errors.append(found - 1000 * truth)
    return np.array(errors)
