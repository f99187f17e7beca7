"""How far from the limits of this processor: ns a pixel and ns a fit against memory and arithmetic, on one core.

    python benchmarks/roofline.py [--quick]

Memory bandwidth and the rate of float32 operations are measured in the same run, with a sum over an array far larger
than the caches and with polynomials over one that fits into the first of them: the roof. What the work needs at the
least follows from the method, see `DETECTION_FLOPS` and `fit_flops`: a floor that no code with this method gets below,
and that none reaches, as divisions, square roots, branches and loads count for nothing in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import machine
import numba
import numpy as np
import numpy.typing as npt
from contest import table
from programs.simulated import BOX, GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E, SIGMA_PX
from simulate import blank, spots, stack

from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer, fit_spots, warmup

ROUNDS = 5
BACKGROUND = 10
DEGREE = 8
"""Short polynomials: many are then under way at once, and none waits for its own last step."""
IN_L1, BEYOND_CACHES = 4_096, 64 * 2**20
"""Numbers of float32 elements: 16 kB, 256 MB."""

DETECTION_BYTES = 2
"""A pixel is read once."""
DETECTION_FLOPS = 2 + 2 * 2 * BOX + 4 + 6
"""A pixel: to photoelectrons; two filters as wide as a box, along rows and columns, a product and a sum each; its part
in the mean of four and in three sums of those; background off, its noise, and the comparison."""
FIT_BYTES = 2 * 4 * BOX**2
"""A spot: counts and variances, float32, read once."""


def fit_flops(box: int, iterations: float) -> float:
    """Return the operations of a fit of x, y, photons, background and one width by Fisher scoring.

    In each iteration a pixel takes 35: mean 3, its inverse 1, residual 2, chi-square 3, three weighted profiles 3, ten
    sums of products 17, four sums of the residual with the profiles 7, less one that is shared. A row takes 60 to bring
    its sums into the matrix and the score. Each edge of a pixel on each axis takes 34 for the error function and the
    exponential, each pixel of each axis 15 for the integral and its derivatives. To solve for five unknowns, and for
    the bound, takes 200.
    """
    pixels, axes = box * box, 2 * box
    return iterations * (35 * pixels + 60 * box + 34 * (axes + 2) + 15 * axes + 200)


@numba.njit(fastmath=True)
def add_up(values: npt.NDArray[np.float32]) -> np.float32:
    """Sum: one load and hardly any arithmetic an element."""
    total = np.float32(0)
    for k in range(values.size):
        total += values[k]
    return total


@numba.njit(fastmath={"contract"})
def polynomials(values: npt.NDArray[np.float32], out: npt.NDArray[np.float32], times: int) -> None:
    """Evaluate a polynomial at every element: `DEGREE` multiplications and additions an element."""
    for _ in range(times):
        for k in range(values.size):
            x = values[k]
            y = np.float32(1)
            for power in range(DEGREE):
                y = y * x + np.float32(1 / (power + 1))
            out[k] = y


def best_of(run: Callable[[], object], times: int = ROUNDS) -> float:
    """Return the shortest of several runs, s of processor time: what the machine can do."""
    return min(_seconds(run) for _ in range(times))


def median_of(run: Callable[[], object], times: int = ROUNDS) -> float:
    """Return the median of several runs, s of processor time: what the program does."""
    return float(np.median([_seconds(run) for _ in range(times)]))


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def bandwidth_gb_s(elements: int) -> float:
    """Return GB/s at which one core reads from memory."""
    values = np.ones(elements, np.float32)
    add_up(values)
    return 4 * elements / best_of(lambda: add_up(values)) / 1e9


def flop_rate(times: int) -> float:
    """Return Gflop/s of float32 multiplications and additions on one core."""
    values, out = np.full(IN_L1, 0.5, np.float32), np.empty(IN_L1, np.float32)
    polynomials(values, out, 1)
    return 2 * DEGREE * IN_L1 * times / best_of(lambda: polynomials(values, out, times)) / 1e9


def vector_register() -> str:
    """Return the register that numba's code for the polynomials uses here."""
    code = "".join(polynomials.inspect_asm().values())
    lanes = {"zmm": 16, "ymm": 8, "xmm": 4}
    register = next((name for name in lanes if name in code), "none")
    return f"{register} ({lanes.get(register, 1)} float32 lanes)"


def localize(localizer: Localizer, frames: npt.NDArray[np.uint16]) -> int:
    """Localize all frames; return the number of rows."""
    return sum(len(localizer(image, number)) for number, image in enumerate(frames))


def row(what: str, each: str, ns: float, bytes_: float, flops: float, gb_s: float, gflop_s: float) -> list[str]:
    """Return one row of the table."""
    by_memory, by_arithmetic = bytes_ / gb_s, flops / gflop_s
    floor = max(by_memory, by_arithmetic)
    cells = [f"{ns:.3g}", f"{by_memory:.3g}", f"{by_arithmetic:.3g}", f"{floor / ns:.0%}", f"{flops / ns:.3g}"]
    return [f"{what}, ns/{each}", *cells]


def main() -> None:
    """Print the roof and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything")
    given = parser.parse_args()
    machine.pin()
    part = 10 if given.quick else 1
    print(machine.statement() + "\n")
    warmup()
    gb_s, gflop_s = bandwidth_gb_s(BEYOND_CACHES // min(part, 4)), flop_rate(40_000 // part)
    print(f"Roof of one core: {gb_s:.1f} GB/s read from memory, {gflop_s:.0f} Gflop/s float32 in {vector_register()}\n")

    camera = CameraCalibration(PIXEL_NM, OFFSET_ADU, GAIN_E_PER_ADU, READ_NOISE_E)
    options = FitOptions(psf_sigma_nm=SIGMA_PX * PIXEL_NM)
    empty = blank(512, 100 // part, BACKGROUND)
    localizer = Localizer(camera, 512, 512, options)
    localize(localizer, empty[:2])
    detection_ns = 1e9 * median_of(lambda: localize(localizer, empty)) / empty.size

    isolated = spots(BACKGROUND, 100_000 // part).electrons
    fits = fit_spots(isolated, SIGMA_PX, READ_NOISE_E**2)
    iterations = float(np.mean(fits.iterations))
    fit_ns = 1e9 * median_of(lambda: fit_spots(isolated, SIGMA_PX, READ_NOISE_E**2)) / len(isolated)

    tiny = blank(16, 2_000 // part, BACKGROUND)
    of_tiny = Localizer(camera, 16, 16, options)
    localize(of_tiny, tiny[:2])
    call_us = 1e6 * median_of(lambda: localize(of_tiny, tiny)) / len(tiny)

    crowded = np.array(stack(f"B{BACKGROUND}", 300 // part).frames)
    rows = localize(localizer, crowded)
    frame_ns = 1e9 * median_of(lambda: localize(localizer, crowded)) / len(crowded)
    fitted = rows / len(crowded)
    pixels = crowded[0].size
    frame_bytes = DETECTION_BYTES * pixels + FIT_BYTES * fitted
    frame_flops = DETECTION_FLOPS * pixels + fit_flops(BOX, iterations) * fitted

    roof = gb_s, gflop_s
    lines = [
        row("detection (512², no molecules)", "pixel", detection_ns, DETECTION_BYTES, DETECTION_FLOPS, *roof),
        row(f"fit ({iterations:.2f} iterations)", "fit", fit_ns, FIT_BYTES, fit_flops(BOX, iterations), *roof),
        row(f"whole frame (512², {fitted:.0f} rows)", "frame", frame_ns, frame_bytes, frame_flops, *roof),
    ]
    print(table(["what", "measured", "floor by memory", "floor by arithmetic", "floor/measured", "Gflop/s"], lines))
    each, part_of_frame = (frame_ns - detection_ns * pixels) / fitted, detection_ns * pixels / frame_ns
    print(f"\nOf a frame of {frame_ns / 1e6:.3f} ms, detection of its pixels is {part_of_frame:.0%}; each row of the")
    print(f"table takes {each:,.0f} ns of the rest: cut, fit, neighbours, table, and the call. A frame of 16² without")
    print(f"molecules takes {call_us:.1f} µs: that is the call.")


if __name__ == "__main__":
    main()
