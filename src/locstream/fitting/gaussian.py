"""Maximum likelihood fits of a Gaussian to spots, many spots at a time.

The model of a pixel is the Gaussian integrated over its area plus a background,

    μ = N · E((x - x₀) / σ) · E((y - y₀) / σ) + b,

and the counts are Poisson distributed. The width may be one unknown, one of each axis for an astigmatic lens, or known
(`FitModel`). Read noise enters as in Huang et al. (Nature Methods 10, 653, 2013): a count
plus its variance v is, to a good approximation, a Poisson number of mean μ + v. The same term takes any other known
light in the box, such as that of neighbouring molecules.

A single width may have a normal prior (`WIDTH_PRIOR`); its information then counts with that of the pixels.

The likelihood is climbed by Fisher scoring: Newton's method with the expected curvature, which is positive definite
and, inverted at the solution, the Cramér–Rao bound (Smith et al., Nature Methods 7, 373, 2010).

**How it is laid out.** `LANES` spots advance together, one in each lane of a vector register: every innermost loop
runs over the lane, and LLVM turns each of its lines into one or two instructions. A lane whose spot is done takes the
next spot at once. All working values live in one flat buffer ``w``: value ``k`` of a lane is ``w[k * LANES + lane]``,
and the constants below name the values. One buffer spares LLVM the tests whether arrays overlap, which it would give
up on. The box and the unknowns enter as the types of two tuples, one element a column and one an unknown: so the loops
over them have a length that is known when they are compiled, and what a model does not need is not there.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import binding

from locstream.fitting.status import FitStatus

Floats = npt.NDArray[np.float32]
Columns = tuple[np.float32, ...]
Unknowns = tuple[np.float32, ...]

FitModel = Literal["sigma", "sigma_xy", "fixed"]
"""What is fitted beside position, photons and background: one width, a width of each axis, or none."""

WIDTH_PRIOR = 0.25
"""Standard deviation of the prior for a width, in parts of the width in focus. It counts as much as a quarter of that
width would: nothing for a bright molecule. A dim one, which tells little of its width, would else now and then come out
half or twice as wide, with half or twice its photons, and with uncertainties that belong to such a one."""

LANES = 16 if binding.get_host_cpu_features().get("avx512f", False) else 8
"""Spots that advance together: the float32 numbers of one vector register."""

MAX_BOX = 15
NO_WIDTH, ONE_WIDTH, TWO_WIDTHS = 4, 5, 6
"""Unknowns of the models."""

# Places in the working buffer, counted in rows of LANES values; the parameters lie as in the columns of the results.
X, Y, PHOTONS, SIGMA, BACKGROUND, SIGMA_Y = range(6)
X0, Y0 = 6, 7  # where the fit started
MOVED = 8  # square of the largest change in the last step, in parts of one that counts as none
CHI2 = 9
SHARE = 10  # the part of the next step that is taken
NEXT_SHARE = 11  # what the last two steps say it should be
LAST = 12  # 5 rows, the last step of all but the background, had it been taken whole
VARIANCE = 17  # 6 rows, the bounds in the order of the parameters
CORRELATION = 23  # of the two widths
# The unknowns are x, y, N, σx, σy, b: b last, so that it is limited first where the step is solved for.
FISHER = 24  # 21 rows, the upper triangle row by row
SCORE = 45  # 6 rows
ERF = SCORE + 6  # MAX_BOX + 1 rows, half the error function at the edges of the pixels
GAUSS = ERF + MAX_BOX + 1  # MAX_BOX + 1 rows, the Gaussian there
EX, DX, SX, EY, DY, SY = (GAUSS + MAX_BOX + 1 + k * MAX_BOX for k in range(6))  # pixel integrals and derivatives
COUNTS = SY + MAX_BOX  # MAX_BOX² rows: counts plus known light
KNOWN = COUNTS + MAX_BOX * MAX_BOX  # MAX_BOX² rows: known light: variance and neighbours
FOCUS = KNOWN + MAX_BOX * MAX_BOX  # the width the fit started from
PRECISION = FOCUS + 1  # of the prior for the width around it, 0 where there is none
ROWS = PRECISION + 1

TOLERANCE_SIGMAS = np.float32(0.02)
TOLERANCE = np.float32(1e-3)
"""A fit has converged when position and width change by less px, and photons by a smaller part."""
MAX_ITERATIONS = 40
WHOLE_STEPS = 4
"""Most fits are done in as many; then steps are made longer or shorter where they creep or swing."""
MIN_SHARE, MAX_SHARE = np.float32(0.3), np.float32(2)
MAX_MOVE_PX = np.float32(2.5)
"""A fit that runs further from its peak has found something else."""
MIN_SIGMA_PX = np.float32(0.4)
MIN_PHOTONS = np.float32(1)
MIN_BACKGROUND = np.float32(0.01)


class SpotFits(NamedTuple):
    """What was fitted to n spots.

    Parameters
    ----------
    estimate
        Shape (n, 5), float32: x and y in px from the centre of the box's first pixel, photons, sigma in px,
        background a pixel. Shape (n, 6) where each axis has its width: then sigma is that along x, and that along y
        comes last.
    uncertainty
        The same shape, float32: 1 sigma of each, from the Cramér–Rao bound of the model; 0 for a width that is known.
    chi2
        Shape (n,), float32: Pearson's chi-square per degree of freedom.
    iterations
        Shape (n,), int32: steps taken.
    status
        Shape (n,), int32: a `FitStatus`.
    """

    estimate: Floats
    uncertainty: Floats
    chi2: Floats
    iterations: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]


_CONVERGED, _AT_BOUND, _NOT_CONVERGED, _BAD_DATA = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.AT_BOUND, FitStatus.NOT_CONVERGED, FitStatus.BAD_DATA)
)

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


@_jit
def gauss(u: np.float32) -> tuple[np.float32, np.float32]:
    """Return half the error function of ``u`` and ``exp(-u²)``, float32.

    The exponential is the 64th power of a short series, the error function Abramowitz & Stegun's 7.1.26 (its error is
    below 1.5e-7). Neither branches, hence a loop over many ``u`` becomes vector instructions.
    """
    one = np.float32(1)
    a = min(abs(u), np.float32(6))
    t = a * a * np.float32(1 / 64)
    p = one - t * np.float32(1 / 6)
    for k in (5, 4, 3, 2, 1):
        p = one - t * np.float32(1 / k) * p
    for _ in range(6):
        p = p * p
    z = one / (one + np.float32(0.3275911) * a)
    q = np.float32(-1.453152027) + z * np.float32(1.061405429)
    q = np.float32(0.254829592) + z * (np.float32(-0.284496736) + z * (np.float32(1.421413741) + z * q))
    return np.float32(0.5) * np.float32(math.copysign(one - z * q * p, u)), p


@_jit
def _tables(w: Floats, columns: Columns, centre: int, sigma: int, e: int, d: int, s: int) -> None:
    """Integrate the Gaussian over each pixel of one axis, with its derivatives after position and width."""
    one, half = np.float32(1), np.float32(0.5)
    for k in range(len(columns) + 1):
        for lane in range(LANES):
            q = one / w[sigma * LANES + lane]
            integral, density = gauss(
                (np.float32(k) - half - w[centre * LANES + lane]) * q * np.float32(math.sqrt(0.5))
            )
            w[(ERF + k) * LANES + lane] = integral
            w[(GAUSS + k) * LANES + lane] = density * q * np.float32(1 / math.sqrt(2 * math.pi))
    for k in range(len(columns)):
        for lane in range(LANES):
            q = one / w[sigma * LANES + lane]
            c = w[centre * LANES + lane]
            left, right = w[(GAUSS + k) * LANES + lane], w[(GAUSS + k + 1) * LANES + lane]
            to_left, to_right = (np.float32(k) - half - c) * q, (np.float32(k) + half - c) * q
            w[(e + k) * LANES + lane] = w[(ERF + k + 1) * LANES + lane] - w[(ERF + k) * LANES + lane]
            w[(d + k) * LANES + lane] = left - right
            w[(s + k) * LANES + lane] = to_left * left - to_right * right


@_jit
def _accumulate(w: Floats, columns: Columns, unknowns: Unknowns) -> None:
    """Sum the score and the Fisher information over the box, for the unknowns (N·x, N·y, N, N·σx, N·σy, b).

    The Gaussian is a product of one function a row and one a column: 14 sums along each row give all others.
    """
    zero, one = np.float32(0), np.float32(1)
    for k in range(FISHER * LANES, (SCORE + 6) * LANES):
        w[k] = zero
    for lane in range(LANES):
        w[CHI2 * LANES + lane] = zero
    box = len(columns)
    for j in range(box):
        for lane in range(LANES):
            ey, dy, sy = w[(EY + j) * LANES + lane], w[(DY + j) * LANES + lane], w[(SY + j) * LANES + lane]
            n_ey, b = w[PHOTONS * LANES + lane] * ey, w[BACKGROUND * LANES + lane]
            i0 = i_e = i_d = i_s = i_ee = i_ed = i_es = i_dd = i_ds = i_ss = zero
            r0 = r_e = r_d = r_s = chi2 = zero
            for i in range(len(columns)):
                ex, dx, sx = w[(EX + i) * LANES + lane], w[(DX + i) * LANES + lane], w[(SX + i) * LANES + lane]
                pixel = j * box + i
                count = w[(COUNTS + pixel) * LANES + lane]
                mean = n_ey * ex + b + w[(KNOWN + pixel) * LANES + lane]
                weight = one / mean
                r = count * weight - one
                chi2 += (count - mean) * r
                we, wd, ws = weight * ex, weight * dx, weight * sx
                i0 += weight
                i_e += we
                i_d += wd
                i_s += ws
                i_ee += we * ex
                i_ed += we * dx
                i_es += we * sx
                i_dd += wd * dx
                i_ds += wd * sx
                i_ss += ws * sx
                r0 += r
                r_e += r * ex
                r_d += r * dx
                r_s += r * sx
            ee, es, ed = ey * ey, ey * sy, ey * dy
            w[(FISHER + 0) * LANES + lane] += ee * i_dd  # x x
            w[(FISHER + 1) * LANES + lane] += ed * i_ed  # x y
            w[(FISHER + 2) * LANES + lane] += ee * i_ed  # x N
            w[(FISHER + 5) * LANES + lane] += ey * i_d  # x b
            w[(FISHER + 6) * LANES + lane] += dy * dy * i_ee  # y y
            w[(FISHER + 7) * LANES + lane] += ed * i_ee  # y N
            w[(FISHER + 10) * LANES + lane] += dy * i_e  # y b
            w[(FISHER + 11) * LANES + lane] += ee * i_ee  # N N
            w[(FISHER + 14) * LANES + lane] += ey * i_e  # N b
            w[(FISHER + 20) * LANES + lane] += i0  # b b
            w[(SCORE + 0) * LANES + lane] += ey * r_d
            w[(SCORE + 1) * LANES + lane] += dy * r_e
            w[(SCORE + 2) * LANES + lane] += ey * r_e
            w[(SCORE + 5) * LANES + lane] += r0
            if len(unknowns) == ONE_WIDTH:
                w[(FISHER + 3) * LANES + lane] += ee * i_ds + es * i_ed  # x σ
                w[(FISHER + 8) * LANES + lane] += ed * i_es + dy * sy * i_ee  # y σ
                w[(FISHER + 12) * LANES + lane] += ee * i_es + es * i_ee  # N σ
                w[(FISHER + 15) * LANES + lane] += ee * i_ss + np.float32(2) * es * i_es + sy * sy * i_ee  # σ σ
                w[(FISHER + 17) * LANES + lane] += ey * i_s + sy * i_e  # σ b
                w[(SCORE + 3) * LANES + lane] += ey * r_s + sy * r_e
            if len(unknowns) == TWO_WIDTHS:
                w[(FISHER + 3) * LANES + lane] += ee * i_ds  # x σx
                w[(FISHER + 4) * LANES + lane] += es * i_ed  # x σy
                w[(FISHER + 8) * LANES + lane] += ed * i_es  # y σx
                w[(FISHER + 9) * LANES + lane] += dy * sy * i_ee  # y σy
                w[(FISHER + 12) * LANES + lane] += ee * i_es  # N σx
                w[(FISHER + 13) * LANES + lane] += es * i_ee  # N σy
                w[(FISHER + 15) * LANES + lane] += ee * i_ss  # σx σx
                w[(FISHER + 16) * LANES + lane] += es * i_es  # σx σy
                w[(FISHER + 17) * LANES + lane] += ey * i_s  # σx b
                w[(FISHER + 18) * LANES + lane] += sy * sy * i_ee  # σy σy
                w[(FISHER + 19) * LANES + lane] += sy * i_e  # σy b
                w[(SCORE + 3) * LANES + lane] += ey * r_s
                w[(SCORE + 4) * LANES + lane] += sy * r_e
            w[CHI2 * LANES + lane] += chi2


@_jit
def _clip(value: np.float32, low: np.float32, high: np.float32) -> np.float32:
    return min(max(value, low), high)


@_jit
def _part(change: np.float32, variance: np.float32, scale: np.float32) -> np.float32:
    """Return the square of a change in parts of the largest that counts as none."""
    return change * change / max(TOLERANCE * TOLERANCE * scale * scale, TOLERANCE_SIGMAS * TOLERANCE_SIGMAS * variance)


@_jit
def _step(w: Floats, unknowns: Unknowns, max_sigma: np.float32) -> None:
    """Solve for the step (Cholesky, LDLᵀ) and take it within limits; leave the bounds of all parameters.

    What is not among the unknowns has a row of zeros with 1 on the diagonal: its step is 0. A single width is the
    first of the two.
    """
    zero, one = np.float32(0), np.float32(1)
    for lane in range(LANES):
        a00, a01, a02, a05 = (
            w[(FISHER + 0) * LANES + lane],
            w[(FISHER + 1) * LANES + lane],
            w[(FISHER + 2) * LANES + lane],
            w[(FISHER + 5) * LANES + lane],
        )
        a11, a12, a15 = (
            w[(FISHER + 6) * LANES + lane],
            w[(FISHER + 7) * LANES + lane],
            w[(FISHER + 10) * LANES + lane],
        )
        a22, a25 = w[(FISHER + 11) * LANES + lane], w[(FISHER + 14) * LANES + lane]
        a55 = w[(FISHER + 20) * LANES + lane]
        a03 = a13 = a23 = a34 = a35 = a04 = a14 = a24 = a45 = zero
        a33 = a44 = one
        score_s = zero
        if len(unknowns) > NO_WIDTH:
            a03, a13, a23 = (
                w[(FISHER + 3) * LANES + lane],
                w[(FISHER + 8) * LANES + lane],
                w[(FISHER + 12) * LANES + lane],
            )
            a33, a35 = w[(FISHER + 15) * LANES + lane], w[(FISHER + 17) * LANES + lane]
            score_s = w[(SCORE + 3) * LANES + lane]
        if len(unknowns) == ONE_WIDTH:  # the unknown is N·σ
            precision, of_n = w[PRECISION * LANES + lane], one / w[PHOTONS * LANES + lane]
            a33 += precision * of_n * of_n
            score_s += precision * (w[FOCUS * LANES + lane] - w[SIGMA * LANES + lane]) * of_n
        if len(unknowns) == TWO_WIDTHS:
            a04, a14, a24 = (
                w[(FISHER + 4) * LANES + lane],
                w[(FISHER + 9) * LANES + lane],
                w[(FISHER + 13) * LANES + lane],
            )
            a34, a44, a45 = (
                w[(FISHER + 16) * LANES + lane],
                w[(FISHER + 18) * LANES + lane],
                w[(FISHER + 19) * LANES + lane],
            )
        q0 = one / a00
        l10, l20, l30, l40, l50 = a01 * q0, a02 * q0, a03 * q0, a04 * q0, a05 * q0
        q1 = one / (a11 - l10 * a01)
        u21 = a12 - l20 * a01
        u31 = a13 - l30 * a01
        u41 = a14 - l40 * a01
        u51 = a15 - l50 * a01
        l21, l31, l41, l51 = u21 * q1, u31 * q1, u41 * q1, u51 * q1
        q2 = one / (a22 - l20 * a02 - l21 * u21)
        u32 = a23 - l30 * a02 - l31 * u21
        u42 = a24 - l40 * a02 - l41 * u21
        u52 = a25 - l50 * a02 - l51 * u21
        l32, l42, l52 = u32 * q2, u42 * q2, u52 * q2
        q3 = one / (a33 - l30 * a03 - l31 * u31 - l32 * u32)
        u43 = a34 - l40 * a03 - l41 * u31 - l42 * u32
        u53 = a35 - l50 * a03 - l51 * u31 - l52 * u32
        l43, l53 = u43 * q3, u53 * q3
        q4 = one / (a44 - l40 * a04 - l41 * u41 - l42 * u42 - l43 * u43)
        u54 = a45 - l50 * a04 - l51 * u41 - l52 * u42 - l53 * u43
        l54 = u54 * q4
        q5 = one / (a55 - l50 * a05 - l51 * u51 - l52 * u52 - l53 * u53 - l54 * u54)

        y0 = w[(SCORE + 0) * LANES + lane]
        y1 = w[(SCORE + 1) * LANES + lane] - l10 * y0
        y2 = w[(SCORE + 2) * LANES + lane] - l20 * y0 - l21 * y1
        y3 = score_s - l30 * y0 - l31 * y1 - l32 * y2
        y4 = w[(SCORE + 4) * LANES + lane] - l40 * y0 - l41 * y1 - l42 * y2 - l43 * y3
        y5 = w[(SCORE + 5) * LANES + lane] - l50 * y0 - l51 * y1 - l52 * y2 - l53 * y3 - l54 * y4
        share = w[SHARE * LANES + lane]
        y0, y1, y2, y3, y4, y5 = share * y0, share * y1, share * y2, share * y3, share * y4, share * y5

        # The inverse is Mᵀ D⁻¹ M with M the inverse of the unit lower triangle; its diagonal are the variances.
        m10 = -l10
        m21 = -l21
        m32 = -l32
        m43 = -l43
        m54 = -l54
        m20 = -l20 - l21 * m10
        m31 = -l31 - l32 * m21
        m42 = -l42 - l43 * m32
        m53 = -l53 - l54 * m43
        m30 = -l30 - l31 * m10 - l32 * m20
        m41 = -l41 - l42 * m21 - l43 * m31
        m52 = -l52 - l53 * m32 - l54 * m42
        m40 = -l40 - l41 * m10 - l42 * m20 - l43 * m30
        m51 = -l51 - l52 * m21 - l53 * m31 - l54 * m41
        m50 = -l50 - l51 * m10 - l52 * m20 - l53 * m30 - l54 * m40
        n, s, b = w[PHOTONS * LANES + lane], w[SIGMA * LANES + lane], w[BACKGROUND * LANES + lane]
        t = w[SIGMA_Y * LANES + lane]
        per_n = one / n
        per_n2 = per_n * per_n
        var_x = (q0 + m10 * m10 * q1 + m20 * m20 * q2 + m30 * m30 * q3 + m40 * m40 * q4 + m50 * m50 * q5) * per_n2
        var_y = (q1 + m21 * m21 * q2 + m31 * m31 * q3 + m41 * m41 * q4 + m51 * m51 * q5) * per_n2
        var_n = q2 + m32 * m32 * q3 + m42 * m42 * q4 + m52 * m52 * q5
        var_s = (q3 + m43 * m43 * q4 + m53 * m53 * q5) * per_n2
        var_t = (q4 + m54 * m54 * q5) * per_n2
        w[(VARIANCE + X) * LANES + lane] = var_x
        w[(VARIANCE + Y) * LANES + lane] = var_y
        w[(VARIANCE + PHOTONS) * LANES + lane] = var_n
        w[(VARIANCE + BACKGROUND) * LANES + lane] = q5
        w[(VARIANCE + SIGMA) * LANES + lane] = var_s
        w[(VARIANCE + SIGMA_Y) * LANES + lane] = var_t
        if len(unknowns) == TWO_WIDTHS:
            w[CORRELATION * LANES + lane] = (m43 * q4 + m53 * m54 * q5) * per_n2 / np.sqrt(var_s * var_t)

        # Each unknown is limited before the next is computed from it: the rest then fits the step that is taken.
        new_b = max(b + max(y5 * q5, np.float32(-0.7) * b), MIN_BACKGROUND)
        z5 = new_b - b
        new_s, new_t, z3, z4 = s, t, zero, zero
        if len(unknowns) == TWO_WIDTHS:
            step_t = _clip((y4 * q4 - l54 * z5) * per_n, np.float32(-0.35), np.float32(0.35))
            new_t = _clip(t + step_t, MIN_SIGMA_PX, max_sigma)
            z4 = (new_t - t) * n
        if len(unknowns) > NO_WIDTH:
            step_s = _clip((y3 * q3 - l43 * z4 - l53 * z5) * per_n, np.float32(-0.35), np.float32(0.35))
            new_s = _clip(s + step_s, MIN_SIGMA_PX, max_sigma)
            z3 = (new_s - s) * n
        if len(unknowns) == ONE_WIDTH:
            new_t = new_s
        z2 = _clip(y2 * q2 - l32 * z3 - l42 * z4 - l52 * z5, np.float32(-0.5) * n, n)
        z1 = y1 * q1 - l21 * z2 - l31 * z3 - l41 * z4 - l51 * z5
        z0 = y0 * q0 - l10 * z1 - l20 * z2 - l30 * z3 - l40 * z4 - l50 * z5
        # Where steps shrink by a factor q the way that is left is 1 / (1 - q) of a step: more than one where they
        # creep, less where they swing about the solution.
        p0, p1, p2, p3, p4 = (
            w[(LAST + 0) * LANES + lane],
            w[(LAST + 1) * LANES + lane],
            w[(LAST + 2) * LANES + lane],
            w[(LAST + 3) * LANES + lane],
            w[(LAST + 4) * LANES + lane],
        )
        whole = one / share
        f0, f1, f2, f3, f4 = z0 * whole, z1 * whole, z2 * whole, z3 * whole, z4 * whole
        along = f0 * p0 + f1 * p1 + f2 * p2 + f3 * p3 + f4 * p4
        q = along / (p0 * p0 + p1 * p1 + p2 * p2 + p3 * p3 + p4 * p4)
        w[NEXT_SHARE * LANES + lane] = max(share / max(one - q, share / MAX_SHARE), MIN_SHARE)
        w[(LAST + 0) * LANES + lane] = f0
        w[(LAST + 1) * LANES + lane] = f1
        w[(LAST + 2) * LANES + lane] = f2
        w[(LAST + 3) * LANES + lane] = f3
        w[(LAST + 4) * LANES + lane] = f4

        x, y = w[X * LANES + lane], w[Y * LANES + lane]
        x0, y0_ = w[X0 * LANES + lane], w[Y0 * LANES + lane]
        new_x = _clip(x + _clip(z0 * per_n, np.float32(-0.7), np.float32(0.7)), x0 - MAX_MOVE_PX, x0 + MAX_MOVE_PX)
        new_y = _clip(y + _clip(z1 * per_n, np.float32(-0.7), np.float32(0.7)), y0_ - MAX_MOVE_PX, y0_ + MAX_MOVE_PX)
        new_n = max(n + z2, MIN_PHOTONS)
        moved = max(_part(new_x - x, var_x, one), _part(new_y - y, var_y, one))
        if len(unknowns) > NO_WIDTH:
            moved = max(moved, _part(new_s - s, var_s, one))
        if len(unknowns) == TWO_WIDTHS:
            moved = max(moved, _part(new_t - t, var_t, one))
        moved = max(moved, _part(new_n - n, var_n, n))
        w[MOVED * LANES + lane] = max(moved, _part(new_b - b, q5, b))
        w[X * LANES + lane] = new_x
        w[Y * LANES + lane] = new_y
        w[PHOTONS * LANES + lane] = new_n
        w[SIGMA * LANES + lane] = new_s
        w[BACKGROUND * LANES + lane] = new_b
        w[SIGMA_Y * LANES + lane] = new_t


@_jit
def _load(w: Floats, lane: int, counts: Floats, known: Floats, start: Floats, spread: float, spot: int) -> None:
    """Give a lane its spot."""
    of_spot = min(spot, known.shape[0] - 1)
    for p in range(counts.shape[1]):
        w[(COUNTS + p) * LANES + lane] = counts[spot, p]
        w[(KNOWN + p) * LANES + lane] = known[of_spot, p]
    for k in range(5):
        w[k * LANES + lane] = start[spot, k]
    w[SIGMA_Y * LANES + lane] = start[spot, start.shape[1] - 1 if start.shape[1] == TWO_WIDTHS else SIGMA]
    w[X0 * LANES + lane], w[Y0 * LANES + lane] = start[spot, X], start[spot, Y]
    w[SHARE * LANES + lane] = 1
    focus = start[spot, SIGMA]
    w[FOCUS * LANES + lane] = focus
    w[PRECISION * LANES + lane] = 1 / (spread * focus) ** 2 if spread > 0 else 0


@_jit
def _store(w: Floats, lane: int, unknowns: Unknowns, max_sigma: np.float32, fits: SpotFits, spot: int) -> int:
    """Take a lane's result and tell how the fit ended."""
    estimate, uncertainty, _, _, _ = fits
    finite = True
    for k in range(estimate.shape[1]):
        known = len(unknowns) == NO_WIDTH and k in (SIGMA, SIGMA_Y)
        value, variance = w[k * LANES + lane], np.float32(0) if known else w[(VARIANCE + k) * LANES + lane]
        estimate[spot, k], uncertainty[spot, k] = value, np.sqrt(variance)
        if not (np.isfinite(value) and np.isfinite(variance) and variance >= 0):
            finite = False
    if len(unknowns) == TWO_WIDTHS:
        uncertainty[spot, TWO_WIDTHS] = w[CORRELATION * LANES + lane]
    if not (finite and np.isfinite(w[CHI2 * LANES + lane])):
        return _BAD_DATA
    narrowest = min(w[SIGMA * LANES + lane], w[SIGMA_Y * LANES + lane])
    widest = max(w[SIGMA * LANES + lane], w[SIGMA_Y * LANES + lane])
    if (
        abs(estimate[spot, X] - w[X0 * LANES + lane]) >= MAX_MOVE_PX - TOLERANCE
        or abs(estimate[spot, Y] - w[Y0 * LANES + lane]) >= MAX_MOVE_PX - TOLERANCE
        or (len(unknowns) > NO_WIDTH and not (narrowest > MIN_SIGMA_PX and widest < max_sigma))
        or estimate[spot, PHOTONS] <= MIN_PHOTONS
    ):
        return _AT_BOUND
    return _CONVERGED if w[MOVED * LANES + lane] < 1 else _NOT_CONVERGED


@_jit
def fit_boxes(
    counts: Floats,
    known: Floats,
    start: Floats,
    spread: float,
    compiled_for: tuple[Columns, Unknowns],
    fits: SpotFits,
) -> None:
    """Fit every spot; see `fit_spots`.

    `counts` holds the photoelectrons plus `known`, both of shape (n, box²), or `known` (1, box²) where it is the same
    for every spot; `start` and all results are in the order x, y, photons, sigma, background and, where it has a width
    of its own, sigma along y. `spread` is that of the prior for a single width, in parts of the width the fit starts
    from, 0 for none. `compiled_for` is what `box_columns` gave for the box and the model.
    """
    columns, unknowns = compiled_for
    _, _, chi2, iterations, status = fits
    spots, pixels = counts.shape
    max_sigma = np.float32(0.5) * np.float32(len(columns))
    per_freedom = np.float32(1) / np.float32(pixels - len(unknowns))
    w = np.ones(ROWS * LANES, np.float32)
    spot_of = np.full(LANES, -1)
    steps = np.zeros(LANES, np.int32)
    taken = min(spots, LANES)
    busy = taken
    for lane in range(LANES):
        if lane < spots:
            spot_of[lane] = lane
            _load(w, lane, counts, known, start, spread, lane)
    while busy > 0:
        _tables(w, columns, X, SIGMA, EX, DX, SX)
        _tables(w, columns, Y, SIGMA_Y, EY, DY, SY)
        _accumulate(w, columns, unknowns)
        _step(w, unknowns, max_sigma)
        for lane in range(LANES):
            spot = spot_of[lane]
            if spot < 0:
                continue
            steps[lane] += 1
            if steps[lane] >= WHOLE_STEPS:
                w[SHARE * LANES + lane] = w[NEXT_SHARE * LANES + lane]
            if w[MOVED * LANES + lane] >= 1 and steps[lane] < MAX_ITERATIONS:
                continue
            status[spot] = _store(w, lane, unknowns, max_sigma, fits, spot)
            chi2[spot] = w[CHI2 * LANES + lane] * per_freedom
            iterations[spot] = steps[lane]
            if taken < spots:
                spot_of[lane], steps[lane] = taken, 0
                _load(w, lane, counts, known, start, spread, taken)
                taken += 1
            else:
                spot_of[lane] = -1
                busy -= 1


def room_for_fits(n: int, model: FitModel = "sigma") -> SpotFits:
    """Return room for `n` fits.

    Where each axis has its width the uncertainties have a last column more: how far the errors of the two correlate.
    """
    parameters = TWO_WIDTHS if model == "sigma_xy" else ONE_WIDTH
    estimate = np.empty((n, parameters), np.float32)
    uncertainty = np.empty((n, parameters + (model == "sigma_xy")), np.float32)
    iterations, status = np.empty((2, n), np.int32)
    return SpotFits(estimate, uncertainty, np.empty(n, np.float32), iterations, status)


def box_columns(box: int, model: FitModel = "sigma") -> tuple[Columns, Unknowns]:
    """Return the two tuples whose types tell the kernels how wide the box is and what is unknown."""
    unknowns = {"sigma": ONE_WIDTH, "sigma_xy": TWO_WIDTHS, "fixed": NO_WIDTH}[model]
    return tuple(np.float32(i) for i in range(box)), tuple(np.float32(i) for i in range(unknowns))


def fit_spots(
    spots: Floats,
    sigma_px: float,
    variance: npt.ArrayLike = 0.0,
    model: FitModel = "sigma",
    *,
    width_prior: float = 0.0,
) -> SpotFits:
    """Fit a Gaussian to each of many spots.

    Parameters
    ----------
    spots
        Shape (n, box, box), photoelectrons, one molecule in the middle of each; box is 5, 7, … 15.
    sigma_px
        Width to start from, or that of every molecule where the model is "fixed", px.
    variance
        Variance of a pixel without light, photoelectrons², of a shape that broadcasts to that of `spots`.
    model
        "sigma" for one width, "sigma_xy" for a width of each axis, "fixed" for none.
    width_prior
        Standard deviation of a normal prior for a single width around `sigma_px`, in parts of it; 0 for none. A
        `Localizer` uses `WIDTH_PRIOR`.

    Raises
    ------
    ValueError
        `spots` is not of such a shape, or there is no such model.
    """
    if model not in get_args(FitModel):
        raise ValueError(f"there is no model {model!r}; there are {', '.join(get_args(FitModel))}")
    n, box, columns = spots.shape
    if box != columns or box % 2 == 0 or not 5 <= box <= MAX_BOX:
        raise ValueError(
            f"spots of {box} × {columns} px; the fit takes odd squares from 5 × 5 to {MAX_BOX} × {MAX_BOX}"
        )
    spread = np.asarray(variance, np.float32)
    known = np.ascontiguousarray(np.broadcast_to(spread, spots.shape if spread.size > 1 else (1, box, box)))
    known = known.reshape(len(known), box * box)
    counts, start = np.empty((n, box * box), np.float32), np.empty((n, 5), np.float32)
    _prepare(np.ascontiguousarray(spots, np.float32).reshape(n, box * box), known, sigma_px, counts, start)
    fits = room_for_fits(n, model)
    fit_boxes(counts, known, start, float(width_prior), box_columns(box, model), fits)
    return fits._replace(uncertainty=fits.uncertainty[:, : fits.estimate.shape[1]])


@_jit
def _prepare(spots: Floats, known: Floats, sigma_px: float, counts: Floats, start: Floats) -> None:
    """Add the known light to the counts, and guess the parameters.

    The background is that of the edge of the box, position and photons those of what rises above it. Where a pixel is
    not finite any start will do.
    """
    zero, most = np.float32(0), np.float32(1e9)
    box = round(math.sqrt(spots.shape[1]))
    for spot in range(spots.shape[0]):
        of_spot = min(spot, known.shape[0] - 1)
        edge = zero
        for k in range(box - 1):
            last = box * (box - 1)
            edge += spots[spot, k] + spots[spot, last + 1 + k]
            edge += spots[spot, (k + 1) * box] + spots[spot, k * box + box - 1]
        background = _clip(edge / np.float32(4 * (box - 1)), -most, most)
        background = background if np.isfinite(background) else zero
        total = moment_x = moment_y = zero
        for j in range(box):
            row = along = zero
            for i in range(box):
                count = spots[spot, j * box + i]
                counts[spot, j * box + i] = count + known[of_spot, j * box + i]
                above = min(max(count - background, zero), most)
                row += above
                along += above * np.float32(i)
            total += row
            moment_x += along
            moment_y += row * np.float32(j)
        photons = max(total, MIN_PHOTONS)
        start[spot, X], start[spot, Y] = moment_x / photons, moment_y / photons
        start[spot, PHOTONS], start[spot, SIGMA] = photons, sigma_px
        start[spot, BACKGROUND] = max(background, MIN_BACKGROUND)
        for k in range(5):
            if not np.isfinite(start[spot, k]):
                start[spot, k] = 1
