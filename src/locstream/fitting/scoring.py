"""A step of Fisher scoring within limits, and the Cramér–Rao bounds, for many spots at a time."""

from __future__ import annotations

import numpy as np

from locstream.compiled import Floats, steady
from locstream.fitting.lanes import (
    BACKGROUND,
    BEYOND,
    CORRELATION,
    FOCUS,
    INFORMATION,
    LANES,
    LAST,
    LENGTH,
    NO_WIDTH,
    ONE_WIDTH,
    PHOTONS,
    PRECISION,
    SCORE,
    SHARE,
    SIGMA,
    SIGMA_Y,
    STEPS,
    TWO_WIDTHS,
    VARIANCE,
    X0,
    Y0,
    Unknowns,
    Values,
    X,
    Y,
)

TOLERANCE_SIGMAS = np.float32(0.01)
TOLERANCE = np.float32(2e-4)
"""A fit has converged when what is left of its way is less, in standard deviations; or less px of position and width,
and a smaller part of photons and background."""
WHOLE_STEPS = np.float32(4)
"""Most fits are done in as many; then steps are made longer or shorter where they creep or swing."""
LEAST_SHRUNK, LEAST_LEFT = np.float32(0.03), np.float32(0.25)
"""Steps that shrink by a smaller part are taken to shrink by this. However fast they do, this part of the last one is
taken to be left: the bounds are those of where it began."""
MIN_SHARE, MAX_SHARE = np.float32(0.3), np.float32(2)
MAX_STEP_PX, MAX_STEP_SIGMA_PX = np.float32(0.7), np.float32(0.35)
MAX_MOVE_PX = np.float32(2.5)
"""A fit that runs further from where it started has found something else."""
MIN_SIGMA_PX = np.float32(0.4)
MIN_PHOTONS = np.float32(1)
MIN_BACKGROUND = np.float32(0.01)
WIDTHS_VARY = np.float32(0.15)
"""Standard deviation of the widths that molecules near the focus have, in parts of the width in focus. The prior for a
width is wider, so that it holds back none that is out of focus; what is claimed of photons and background is not."""


@steady
def clip(value: np.float32, low: np.float32, high: np.float32) -> np.float32:
    """Return what is nearest to a value between two limits."""
    return min(max(value, low), high)


@steady
def _beyond(change: np.float32, left2: np.float32, variance: np.float32, scale: np.float32) -> np.float32:
    """Return by how much the square of what is left, `left2` in parts of the change's, exceeds what is nothing."""
    none2 = max(TOLERANCE * TOLERANCE * scale * scale, TOLERANCE_SIGMAS * TOLERANCE_SIGMAS * variance)
    return change * change * left2 - none2


@steady
def _information(w: Floats, lane: int, unknowns: Unknowns, of_prior: np.float32) -> Values:
    """Return the upper triangle of the information, with that of the prior of a single width.

    What is not among the unknowns has a row of zeros with 1 on the diagonal: its step is 0. A single width is the sum
    of both, in place of the first.
    """
    zero, one, first = np.float32(0), np.float32(1), INFORMATION * LANES + lane
    xx, xy, xn = w[first], w[first + LANES], w[first + 2 * LANES]
    xs, xt, xb = w[first + 3 * LANES], w[first + 4 * LANES], w[first + 5 * LANES]
    yy, yn, ys = w[first + 6 * LANES], w[first + 7 * LANES], w[first + 8 * LANES]
    yt, yb, nn = w[first + 9 * LANES], w[first + 10 * LANES], w[first + 11 * LANES]
    ns, nt, nb = w[first + 12 * LANES], w[first + 13 * LANES], w[first + 14 * LANES]
    ss, st, sb = w[first + 15 * LANES], w[first + 16 * LANES], w[first + 17 * LANES]
    tt, tb, bb = w[first + 18 * LANES], w[first + 19 * LANES], w[first + 20 * LANES]
    if len(unknowns) == ONE_WIDTH:
        xs, ys, ns, ss, sb = xs + xt, ys + yt, ns + nt, ss + st + st + tt + of_prior, sb + tb
    if len(unknowns) == NO_WIDTH:
        xs = ys = ns = sb = zero
        ss = one
    if len(unknowns) != TWO_WIDTHS:
        xt = yt = nt = st = tb = zero
        tt = one
    return xx, xy, xn, xs, xt, xb, yy, yn, ys, yt, yb, nn, ns, nt, nb, ss, st, sb, tt, tb, bb


@steady
def _score(w: Floats, lane: int, unknowns: Unknowns, of_prior: np.float32) -> Values:
    """Return the slope of the likelihood after each unknown, with that of the prior of a single width."""
    zero, first = np.float32(0), SCORE * LANES + lane
    s, t = w[first + 3 * LANES], w[first + 4 * LANES]
    if len(unknowns) == ONE_WIDTH:
        s, t = s + t + of_prior, zero
    if len(unknowns) == NO_WIDTH:
        s = t = zero
    return w[first], w[first + LANES], w[first + 2 * LANES], s, t, w[first + 5 * LANES]


@steady
def _decompose(a: Values) -> tuple[Values, Values]:
    """Return the Cholesky decomposition LDLᵀ: L below its diagonal of ones, row by row, and the inverse of D."""
    one = np.float32(1)
    a00, a01, a02, a03, a04, a05, a11, a12, a13, a14, a15, a22, a23, a24, a25, a33, a34, a35, a44, a45, a55 = a
    q0 = one / a00
    l10, l20, l30, l40, l50 = a01 * q0, a02 * q0, a03 * q0, a04 * q0, a05 * q0
    q1 = one / (a11 - l10 * a01)
    u21, u31, u41, u51 = a12 - l20 * a01, a13 - l30 * a01, a14 - l40 * a01, a15 - l50 * a01
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
    return (l10, l20, l21, l30, l31, l32, l40, l41, l42, l43, l50, l51, l52, l53, l54), (q0, q1, q2, q3, q4, q5)


@steady
def unsaid(precision: np.float32, focus: np.float32) -> np.float32:
    """Return the part of a prior's precision that only holds the fit, see `WIDTHS_VARY`."""
    vary = WIDTHS_VARY * focus
    return precision * max(np.float32(1) - precision * vary * vary, np.float32(0))


@steady
def _bound(
    w: Floats, lane: int, unknowns: Unknowns, lower: Values, q: Values, per_n2: np.float32, excess: np.float32
) -> None:
    """Leave the variances of all parameters: the diagonal of the inverse Mᵀ D⁻¹ M, with M the inverse of L.

    With C this covariance, p the precision of a prior for the width and v the variance that widths have, a fit that is
    held by the prior errs by C - p (1 - p v) c cᵀ, where c is the column of the width: noise alone scatters it by less
    than C, and a width that is not the prior's draws the others along. Photons and background are claimed so; `excess`
    is p (1 - p v).
    """
    l10, l20, l21, l30, l31, l32, l40, l41, l42, l43, l50, l51, l52, l53, l54 = lower
    q0, q1, q2, q3, q4, q5 = q
    m10, m21, m32, m43, m54 = -l10, -l21, -l32, -l43, -l54
    m20, m31, m42, m53 = -l20 - l21 * m10, -l31 - l32 * m21, -l42 - l43 * m32, -l53 - l54 * m43
    m30 = -l30 - l31 * m10 - l32 * m20
    m41 = -l41 - l42 * m21 - l43 * m31
    m52 = -l52 - l53 * m32 - l54 * m42
    m40 = -l40 - l41 * m10 - l42 * m20 - l43 * m30
    m51 = -l51 - l52 * m21 - l53 * m31 - l54 * m41
    m50 = -l50 - l51 * m10 - l52 * m20 - l53 * m30 - l54 * m40
    x = q0 + m10 * m10 * q1 + m20 * m20 * q2 + m30 * m30 * q3 + m40 * m40 * q4 + m50 * m50 * q5
    y = q1 + m21 * m21 * q2 + m31 * m31 * q3 + m41 * m41 * q4 + m51 * m51 * q5
    s, t = q3 + m43 * m43 * q4 + m53 * m53 * q5, q4 + m54 * m54 * q5
    w[(VARIANCE + X) * LANES + lane] = x * per_n2
    w[(VARIANCE + Y) * LANES + lane] = y * per_n2
    n, b = q2 + m32 * m32 * q3 + m42 * m42 * q4 + m52 * m52 * q5, q5
    if len(unknowns) == ONE_WIDTH:
        of_n, of_b = m32 * q3 + m52 * m53 * q5, m53 * q5
        n, b = n - excess * of_n * of_n, b - excess * of_b * of_b
    w[(VARIANCE + PHOTONS) * LANES + lane] = n
    w[(VARIANCE + SIGMA) * LANES + lane] = s * per_n2
    w[(VARIANCE + SIGMA_Y) * LANES + lane] = t * per_n2
    w[(VARIANCE + BACKGROUND) * LANES + lane] = b
    if len(unknowns) == TWO_WIDTHS:
        w[CORRELATION * LANES + lane] = (m43 * q4 + m53 * m54 * q5) / np.sqrt(s * t)


@steady
def _forward(lower: Values, score: Values, share: np.float32) -> Values:
    """Solve L y = share · score."""
    l10, l20, l21, l30, l31, l32, l40, l41, l42, l43, l50, l51, l52, l53, l54 = lower
    y0, s1, s2, s3, s4, s5 = score
    y1 = s1 - l10 * y0
    y2 = s2 - l20 * y0 - l21 * y1
    y3 = s3 - l30 * y0 - l31 * y1 - l32 * y2
    y4 = s4 - l40 * y0 - l41 * y1 - l42 * y2 - l43 * y3
    y5 = s5 - l50 * y0 - l51 * y1 - l52 * y2 - l53 * y3 - l54 * y4
    return share * y0, share * y1, share * y2, share * y3, share * y4, share * y5


@steady
def _count_step(w: Floats, lane: int, step: Values, length2: np.float32) -> np.float32:
    """Count a step and leave the part that is to be taken of the next; return what is left, squared, in parts of this.

    Where steps shrink by a factor q the way that is left is 1 / (1 - q) of a step: more than one where they creep,
    less where they swing about the solution. So q / (1 - q) of a step is left after it. This q, which tells whether to
    go on, is of their lengths in standard deviations, `length2` the square of this one's; after the first as much
    counts as left as it was long.
    """
    one = np.float32(1)
    share = w[SHARE * LANES + lane]
    whole = one / share
    f0, f1, f2, f3, f4 = step[0] * whole, step[1] * whole, step[2] * whole, step[3] * whole, step[4] * whole
    first = LAST * LANES + lane
    p0, p1, p2, p3, p4 = (
        w[first], w[first + LANES], w[first + 2 * LANES], w[first + 3 * LANES], w[first + 4 * LANES],
    )  # fmt: skip
    along = f0 * p0 + f1 * p1 + f2 * p2 + f3 * p3 + f4 * p4
    q = along / (p0 * p0 + p1 * p1 + p2 * p2 + p3 * p3 + p4 * p4)
    w[first], w[first + LANES], w[first + 2 * LANES], w[first + 3 * LANES], w[first + 4 * LANES] = f0, f1, f2, f3, f4
    steps = w[STEPS * LANES + lane] + one
    next_share = max(share / max(one - q, share / MAX_SHARE), MIN_SHARE)
    w[STEPS * LANES + lane] = steps
    w[SHARE * LANES + lane] = next_share if steps >= WHOLE_STEPS else one
    length, last = np.sqrt(length2) * whole, w[LENGTH * LANES + lane]
    w[LENGTH * LANES + lane] = length
    left = max(length / max(last - length, LEAST_SHRUNK * last), LEAST_LEFT)
    return left * left if steps > one else one


@steady
def step(w: Floats, unknowns: Unknowns, max_sigma: np.float32) -> None:
    """Solve for the step and take it within limits; leave the bounds of all parameters."""
    zero, one = np.float32(0), np.float32(1)
    for lane in range(LANES):
        x, y, n = w[X * LANES + lane], w[Y * LANES + lane], w[PHOTONS * LANES + lane]
        s, t, b = w[SIGMA * LANES + lane], w[SIGMA_Y * LANES + lane], w[BACKGROUND * LANES + lane]
        per_n, precision = one / n, w[PRECISION * LANES + lane]  # the unknowns are N·x, N·y, N·σ
        of_prior = precision * (w[FOCUS * LANES + lane] - s) * per_n
        lower, q = _decompose(_information(w, lane, unknowns, precision * per_n * per_n))
        excess = unsaid(precision, w[FOCUS * LANES + lane]) * per_n * per_n
        _bound(w, lane, unknowns, lower, q, per_n * per_n, excess)
        l10, l20, l21, l30, l31, l32, l40, l41, l42, l43, l50, l51, l52, l53, l54 = lower
        q0, q1, q2, q3, q4, q5 = q
        y0, y1, y2, y3, y4, y5 = _forward(lower, _score(w, lane, unknowns, of_prior), w[SHARE * LANES + lane])
        # Each unknown is limited before the next is computed from it: the rest then fits the step that is taken.
        new_b = max(b + max(y5 * q5, np.float32(-0.7) * b), MIN_BACKGROUND)
        z5 = new_b - b
        new_s, new_t, z3, z4 = s, t, zero, zero
        if len(unknowns) == TWO_WIDTHS:
            step_t = clip((y4 * q4 - l54 * z5) * per_n, -MAX_STEP_SIGMA_PX, MAX_STEP_SIGMA_PX)
            new_t = clip(t + step_t, MIN_SIGMA_PX, max_sigma)
            z4 = (new_t - t) * n
        if len(unknowns) > NO_WIDTH:
            step_s = clip((y3 * q3 - l43 * z4 - l53 * z5) * per_n, -MAX_STEP_SIGMA_PX, MAX_STEP_SIGMA_PX)
            new_s = clip(s + step_s, MIN_SIGMA_PX, max_sigma)
            z3 = (new_s - s) * n
        if len(unknowns) == ONE_WIDTH:
            new_t = new_s
        z2 = clip(y2 * q2 - l32 * z3 - l42 * z4 - l52 * z5, np.float32(-0.5) * n, n)
        z1 = y1 * q1 - l21 * z2 - l31 * z3 - l41 * z4 - l51 * z5
        z0 = y0 * q0 - l10 * z1 - l20 * z2 - l30 * z3 - l40 * z4 - l50 * z5
        # A background that rests at its limit takes no step: its part is that which it takes.
        length2 = y0 * y0 * q0 + y1 * y1 * q1 + y2 * y2 * q2 + y3 * y3 * q3 + y4 * y4 * q4 + y5 * z5
        left2 = _count_step(w, lane, (z0, z1, z2, z3, z4), length2)

        x0, y0_ = w[X0 * LANES + lane], w[Y0 * LANES + lane]
        new_x = clip(x + clip(z0 * per_n, -MAX_STEP_PX, MAX_STEP_PX), x0 - MAX_MOVE_PX, x0 + MAX_MOVE_PX)
        new_y = clip(y + clip(z1 * per_n, -MAX_STEP_PX, MAX_STEP_PX), y0_ - MAX_MOVE_PX, y0_ + MAX_MOVE_PX)
        new_n = max(n + z2, MIN_PHOTONS)
        beyond = _beyond(new_x - x, left2, w[(VARIANCE + X) * LANES + lane], one)
        beyond = max(beyond, _beyond(new_y - y, left2, w[(VARIANCE + Y) * LANES + lane], one))
        beyond = max(beyond, _beyond(new_n - n, left2, w[(VARIANCE + PHOTONS) * LANES + lane], n))
        beyond = max(beyond, _beyond(new_b - b, left2, w[(VARIANCE + BACKGROUND) * LANES + lane], b))
        if len(unknowns) > NO_WIDTH:
            beyond = max(beyond, _beyond(new_s - s, left2, w[(VARIANCE + SIGMA) * LANES + lane], one))
        if len(unknowns) == TWO_WIDTHS:
            beyond = max(beyond, _beyond(new_t - t, left2, w[(VARIANCE + SIGMA_Y) * LANES + lane], one))
        w[BEYOND * LANES + lane] = beyond
        w[X * LANES + lane], w[Y * LANES + lane], w[PHOTONS * LANES + lane] = new_x, new_y, new_n
        w[SIGMA * LANES + lane], w[SIGMA_Y * LANES + lane], w[BACKGROUND * LANES + lane] = new_s, new_t, new_b
