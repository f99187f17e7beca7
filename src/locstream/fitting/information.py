"""Score and Fisher information of a Gaussian in its box of pixels, for many spots at a time.

The Gaussian is a product of one function a row and one a column: 15 sums along each row give all others.
"""

from __future__ import annotations

import math

import numpy as np

from locstream.compiled import Floats, steady
from locstream.fitting.lanes import (
    BACKGROUND,
    CHI2,
    COUNTS,
    DX,
    DY,
    EDGE,
    EX,
    EY,
    FIRST_EDGE,
    HEIGHT,
    INFORMATION,
    KNOWN,
    LANES,
    MAX_BOX,
    PER_PIXEL,
    PHOTONS,
    R0,
    RD,
    RE,
    RR,
    RS,
    SCORE,
    SIGMA,
    SIGMA_Y,
    SUMS,
    SUMS_A_ROW,
    SX,
    SY,
    W0,
    WD,
    WDD,
    WDS,
    WE,
    WED,
    WEE,
    WES,
    WS,
    WSS,
    Columns,
    Values,
    X,
    Y,
)

PART = 5
"""Pixels that one loop takes: a longer one LLVM would not unroll, nor then vectorize the loop over lanes around it."""
NOTHING = (np.float32(0),) * SUMS_A_ROW
EXP_32 = tuple((-1 / 32) ** k / math.factorial(k) for k in range(7))
"""Coefficients of the series of exp(-x / 32), x up to 21."""
ALONE = -1
"""In place of a profile: none."""


@steady
def gauss(u: np.float32) -> tuple[np.float32, np.float32]:
    """Return half the error function of ``u`` and ``exp(-u²)``, float32.

    The exponential is the 32nd power of a short series, the error function Abramowitz & Stegun's 7.1.26 (its error is
    below 1.5e-7). Neither branches, hence a loop over many ``u`` becomes vector instructions.
    """
    one, half = np.float32(1), np.float32(0.5)
    a = min(abs(u), np.float32(4.6))
    a2 = a * a
    p = np.float32(EXP_32[-1])
    for k in range(len(EXP_32) - 1, 0, -1):
        p = np.float32(EXP_32[k - 1]) + a2 * p
    for _ in range(5):
        p = p * p
    z = one / (one + np.float32(0.3275911) * a)
    q = np.float32(-0.5 * 1.453152027) + z * np.float32(0.5 * 1.061405429)
    q = np.float32(-0.5 * 0.284496736) + z * (np.float32(0.5 * 1.421413741) + z * q)
    q = np.float32(0.5 * 0.254829592) + z * q
    return np.float32(math.copysign(half - z * q * p, u)), p


@steady
def _at_edge(w: Floats, lane: int, axis: int, edge: int) -> tuple[np.float32, np.float32, np.float32]:
    """Return the Gaussian's integral up to an edge of the pixels of an axis, the Gaussian there, and its moment."""
    u = w[(FIRST_EDGE + axis) * LANES + lane] + np.float32(edge) * w[(PER_PIXEL + axis) * LANES + lane]
    integral, density = gauss(u)
    density *= w[(HEIGHT + axis) * LANES + lane]
    return integral, density, np.float32(math.sqrt(2)) * u * density


@steady
def _integrate_axis(w: Floats, columns: Columns, axis: int) -> None:
    """Integrate over each pixel of an axis, from the edge that it shares with the one before to the next."""
    below, gauss_at, moment = EDGE * LANES, (EDGE + 1) * LANES, (EDGE + 2) * LANES
    for lane in range(LANES):
        w[below + lane], w[gauss_at + lane], w[moment + lane] = _at_edge(w, lane, axis, 0)
    for pixel in range(len(columns)):
        for lane in range(LANES):
            e, d, s = _at_edge(w, lane, axis, pixel + 1)
            first = (EX + 3 * axis * MAX_BOX + pixel) * LANES + lane
            w[first] = e - w[below + lane]
            w[first + MAX_BOX * LANES] = w[gauss_at + lane] - d
            w[first + 2 * MAX_BOX * LANES] = w[moment + lane] - s
            w[below + lane], w[gauss_at + lane], w[moment + lane] = e, d, s


@steady
def integrate(w: Floats, columns: Columns) -> None:
    """Integrate the Gaussian over each pixel along both axes, with its derivatives after position and width."""
    one, half, root = np.float32(1), np.float32(0.5), np.float32(math.sqrt(0.5))
    for lane in range(LANES):  # both axes in one loop: a shorter one LLVM unrolls instead
        qx, qy = one / w[SIGMA * LANES + lane], one / w[SIGMA_Y * LANES + lane]
        w[FIRST_EDGE * LANES + lane] = (-half - w[X * LANES + lane]) * qx * root
        w[(FIRST_EDGE + 1) * LANES + lane] = (-half - w[Y * LANES + lane]) * qy * root
        w[PER_PIXEL * LANES + lane], w[(PER_PIXEL + 1) * LANES + lane] = qx * root, qy * root
        w[HEIGHT * LANES + lane] = qx * np.float32(1 / math.sqrt(2 * math.pi))
        w[(HEIGHT + 1) * LANES + lane] = qy * np.float32(1 / math.sqrt(2 * math.pi))
    _integrate_axis(w, columns, 0)
    _integrate_axis(w, columns, 1)


@steady
def _add_pixel(
    w: Floats, lane: int, i: int, pixel: int, peak: np.float32, background: np.float32, sums: Values
) -> Values:
    """Add a pixel to the sums along its row."""
    one = np.float32(1)
    s_w, s_we, s_wd, s_ws, s_wee, s_wed, s_wes, s_wdd, s_wds, s_wss, s_r, s_re, s_rd, s_rs, s_rr = sums
    e, d, s = w[(EX + i) * LANES + lane], w[(DX + i) * LANES + lane], w[(SX + i) * LANES + lane]
    count = w[(COUNTS + pixel) * LANES + lane]
    mean = peak * e + background + w[(KNOWN + pixel) * LANES + lane]
    weight = one / mean
    r = count * weight - one
    we, wd, ws = weight * e, weight * d, weight * s
    return (
        s_w + weight, s_we + we, s_wd + wd, s_ws + ws,
        s_wee + we * e, s_wed + we * d, s_wes + we * s, s_wdd + wd * d, s_wds + wd * s, s_wss + ws * s,
        s_r + r, s_re + r * e, s_rd + r * d, s_rs + r * s, s_rr + (count - mean) * r,
    )  # fmt: skip


@steady
def sum_rows(w: Floats, columns: Columns) -> None:
    """Sum weights and residuals along each row of the box."""
    box = len(columns)
    for row in range(box):
        for lane in range(LANES):
            peak, b = w[PHOTONS * LANES + lane] * w[(EY + row) * LANES + lane], w[BACKGROUND * LANES + lane]
            sums = NOTHING
            for i in range(min(PART, len(columns))):
                sums = _add_pixel(w, lane, i, row * box + i, peak, b, sums)
            for i in range(PART, min(2 * PART, len(columns))):
                sums = _add_pixel(w, lane, i, row * box + i, peak, b, sums)
            for i in range(2 * PART, len(columns)):
                sums = _add_pixel(w, lane, i, row * box + i, peak, b, sums)
            first = (SUMS + SUMS_A_ROW * row) * LANES + lane
            (
                w[first + W0 * LANES], w[first + WE * LANES], w[first + WD * LANES], w[first + WS * LANES],
                w[first + WEE * LANES], w[first + WED * LANES], w[first + WES * LANES], w[first + WDD * LANES],
                w[first + WDS * LANES], w[first + WSS * LANES], w[first + R0 * LANES], w[first + RE * LANES],
                w[first + RD * LANES], w[first + RS * LANES], w[first + RR * LANES],
            ) = sums  # fmt: skip


@steady
def _total(w: Floats, lane: int, columns: Columns, first: int, second: int, along: int) -> np.float32:
    """Sum over the rows one of the sums along them, times up to two of the profiles across them."""
    total = np.float32(0)
    for row in range(len(columns)):
        value = w[(SUMS + SUMS_A_ROW * row + along) * LANES + lane]
        if second != ALONE:
            total += w[(first + row) * LANES + lane] * w[(second + row) * LANES + lane] * value
        elif first != ALONE:
            total += w[(first + row) * LANES + lane] * value
        else:
            total += value
    return total


@steady
def add_rows(w: Floats, columns: Columns) -> None:
    """Bring the sums along the rows together: score and Fisher information of (N·x, N·y, N, N·σx, N·σy, b)."""
    for lane in range(LANES):
        w[(INFORMATION + 0) * LANES + lane] = _total(w, lane, columns, EY, EY, WDD)  # x x
        w[(INFORMATION + 1) * LANES + lane] = _total(w, lane, columns, EY, DY, WED)  # x y
        w[(INFORMATION + 2) * LANES + lane] = _total(w, lane, columns, EY, EY, WED)  # x N
        w[(INFORMATION + 3) * LANES + lane] = _total(w, lane, columns, EY, EY, WDS)  # x σx
        w[(INFORMATION + 4) * LANES + lane] = _total(w, lane, columns, EY, SY, WED)  # x σy
        w[(INFORMATION + 5) * LANES + lane] = _total(w, lane, columns, EY, ALONE, WD)  # x b
        w[(INFORMATION + 6) * LANES + lane] = _total(w, lane, columns, DY, DY, WEE)  # y y
        w[(INFORMATION + 7) * LANES + lane] = _total(w, lane, columns, EY, DY, WEE)  # y N
        w[(INFORMATION + 8) * LANES + lane] = _total(w, lane, columns, EY, DY, WES)  # y σx
        w[(INFORMATION + 9) * LANES + lane] = _total(w, lane, columns, DY, SY, WEE)  # y σy
        w[(INFORMATION + 10) * LANES + lane] = _total(w, lane, columns, DY, ALONE, WE)  # y b
        w[(INFORMATION + 11) * LANES + lane] = _total(w, lane, columns, EY, EY, WEE)  # N N
        w[(INFORMATION + 12) * LANES + lane] = _total(w, lane, columns, EY, EY, WES)  # N σx
        w[(INFORMATION + 13) * LANES + lane] = _total(w, lane, columns, EY, SY, WEE)  # N σy
        w[(INFORMATION + 14) * LANES + lane] = _total(w, lane, columns, EY, ALONE, WE)  # N b
        w[(INFORMATION + 15) * LANES + lane] = _total(w, lane, columns, EY, EY, WSS)  # σx σx
        w[(INFORMATION + 16) * LANES + lane] = _total(w, lane, columns, EY, SY, WES)  # σx σy
        w[(INFORMATION + 17) * LANES + lane] = _total(w, lane, columns, EY, ALONE, WS)  # σx b
        w[(INFORMATION + 18) * LANES + lane] = _total(w, lane, columns, SY, SY, WEE)  # σy σy
        w[(INFORMATION + 19) * LANES + lane] = _total(w, lane, columns, SY, ALONE, WE)  # σy b
        w[(INFORMATION + 20) * LANES + lane] = _total(w, lane, columns, ALONE, ALONE, W0)  # b b
        w[(SCORE + 0) * LANES + lane] = _total(w, lane, columns, EY, ALONE, RD)  # x
        w[(SCORE + 1) * LANES + lane] = _total(w, lane, columns, DY, ALONE, RE)  # y
        w[(SCORE + 2) * LANES + lane] = _total(w, lane, columns, EY, ALONE, RE)  # N
        w[(SCORE + 3) * LANES + lane] = _total(w, lane, columns, EY, ALONE, RS)  # σx
        w[(SCORE + 4) * LANES + lane] = _total(w, lane, columns, SY, ALONE, RE)  # σy
        w[(SCORE + 5) * LANES + lane] = _total(w, lane, columns, ALONE, ALONE, R0)  # b
        w[CHI2 * LANES + lane] = _total(w, lane, columns, ALONE, ALONE, RR)
