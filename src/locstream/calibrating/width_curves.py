"""Smooth curves through the widths of several beads, each at a depth of its own: robust least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from locstream.calibrating.beads import BeadScan

Doubles = npt.NDArray[np.float64]

ITERATIONS = 30
HUBER = 1.5
"""Residuals count in full up to so many of their typical size."""
LONGEST_SHIFT_UM = 0.1
"""A bead is moved by no more in one iteration, µm."""
ROUND_WITHIN_UM = 1e-6


@dataclass(frozen=True, eq=False)
class Widths:
    """The widths of all beads in the planes that are used, each array of shape (n,).

    Parameters
    ----------
    bead
        Number of the bead, from 0.
    plane
        Number of the plane.
    z_um
        Depth in the stack less that of the bead, µm: where it is round, this is near 0.
    sigma_x_px, sigma_y_px
        Widths, px.
    """

    bead: npt.NDArray[np.intp]
    plane: Doubles
    z_um: Doubles
    sigma_x_px: Doubles
    sigma_y_px: Doubles

    def where(self, mask: npt.NDArray[np.bool_]) -> Widths:
        """Return some of them."""
        return Widths(self.bead[mask], self.plane[mask], self.z_um[mask], self.sigma_x_px[mask], self.sigma_y_px[mask])


@dataclass(frozen=True, eq=False)
class WidthCurves:
    """σ² of both axes as polynomials of z, and how the beads lie about them.

    Parameters
    ----------
    variance_x_px2, variance_y_px2
        Coefficients of σ² in px² for the powers of z in µm; at z = 0 the two agree.
    widths
        What they go through, at depths that take in where each bead turned out to lie.
    """

    variance_x_px2: Doubles
    variance_y_px2: Doubles
    widths: Widths

    def sigma_x_px(self, z_um: Doubles) -> Doubles:
        """Return the width along x, px."""
        return _sigma(self.variance_x_px2, z_um)

    def sigma_y_px(self, z_um: Doubles) -> Doubles:
        """Return the width along y, px."""
        return _sigma(self.variance_y_px2, z_um)

    def residuals_px(self) -> tuple[Doubles, Doubles]:
        """Return by how much the widths along x and along y exceed the curves, px."""
        z = self.widths.z_um
        return self.widths.sigma_x_px - self.sigma_x_px(z), self.widths.sigma_y_px - self.sigma_y_px(z)


def crossing(scan: BeadScan) -> tuple[float, float] | None:
    """Return the plane in which a bead is round, between two planes, and whether σx grows (1) or falls (-1) there.

    Far out of focus the widths of a bead may cross again; the crossing where it is brightest counts. None where the
    widths never cross.
    """
    difference = scan.sigma_x_px - scan.sigma_y_px
    candidates = np.flatnonzero((difference[1:] * difference[:-1] < 0) & (np.diff(scan.plane) <= 2))
    if not len(candidates):
        return None
    k = candidates[np.argmax(scan.height[candidates] + scan.height[candidates + 1])]
    share = difference[k] / (difference[k] - difference[k + 1])
    return float(scan.plane[k] + share * (scan.plane[k + 1] - scan.plane[k])), float(np.sign(difference[k + 1]))


def fit_curves(widths: Widths, degree: int) -> WidthCurves:
    """Fit polynomials of a degree, and by how far each bead lies above or below; robust against single bad fits."""
    z = widths.z_um.copy()
    beads = range(int(widths.bead.max()) + 1)
    weight_x, weight_y = 1 / widths.sigma_x_px, 1 / widths.sigma_y_px  # σ² differs by 2 σ where σ differs by 1
    curves = WidthCurves(np.zeros(1), np.zeros(1), widths)
    for _ in range(ITERATIONS):
        curves = WidthCurves(
            _polynomial(z, widths.sigma_x_px**2, weight_x, degree),
            _polynomial(z, widths.sigma_y_px**2, weight_y, degree),
            _moved(widths, z),
        )
        residual_x, residual_y = curves.residuals_px()
        robust_x, robust_y = _huber(residual_x), _huber(residual_y)
        weight_x, weight_y = robust_x / widths.sigma_x_px, robust_y / widths.sigma_y_px
        slope_x, slope_y = (
            _slope(curves.variance_x_px2, z, curves.sigma_x_px(z)),
            _slope(curves.variance_y_px2, z, curves.sigma_y_px(z)),
        )
        for bead in beads:
            own = widths.bead == bead
            score = np.sum((robust_x**2 * residual_x * slope_x + robust_y**2 * residual_y * slope_y)[own])
            information = np.sum((robust_x**2 * slope_x**2 + robust_y**2 * slope_y**2)[own])
            if information > 0:
                z[own] += np.clip(score / information, -LONGEST_SHIFT_UM, LONGEST_SHIFT_UM)
        z -= _round_depth(curves)
    return curves


def _moved(widths: Widths, z_um: Doubles) -> Widths:
    return Widths(widths.bead, widths.plane, z_um.copy(), widths.sigma_x_px, widths.sigma_y_px)


def _polynomial(z_um: Doubles, variance: Doubles, weight: Doubles, degree: int) -> Doubles:
    columns = np.polynomial.polynomial.polyvander(z_um, degree)
    return np.asarray(np.linalg.lstsq(columns * weight[:, None], variance * weight, rcond=None)[0])


def _sigma(variance: Doubles, z_um: Doubles) -> Doubles:
    return np.sqrt(np.maximum(np.polynomial.polynomial.polyval(z_um, variance), 1e-6))


def _slope(variance: Doubles, z_um: Doubles, sigma: Doubles) -> Doubles:
    slope = np.polynomial.polynomial.polyval(z_um, np.polynomial.polynomial.polyder(variance))
    return np.asarray(slope / (2 * sigma))


def _huber(residual: Doubles) -> Doubles:
    """Return the roots of the weights of residuals: below 1 where they stand out."""
    limit = HUBER * 1.4826 * float(np.median(np.abs(residual))) + 1e-9
    return np.sqrt(np.minimum(1, limit / np.maximum(np.abs(residual), 1e-12)))


def _round_depth(curves: WidthCurves) -> float:
    """Return the depth nearest to 0 where the curves cross, µm; 0 where they do not."""
    roots = np.polynomial.polynomial.polyroots(curves.variance_x_px2 - curves.variance_y_px2)
    real = roots.real[np.abs(roots.imag) < ROUND_WITHIN_UM]
    return float(real[np.argmin(np.abs(real))]) if len(real) else 0.0
