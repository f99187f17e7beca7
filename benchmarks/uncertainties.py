"""Are the claimed uncertainties true? (found - true) / claimed σ over backgrounds and photons, for x, y, N and b.

    python benchmarks/uncertainties.py [--quick] [--plot FILE.png]

The standard deviation of that ratio is 1 where the claim is right; more where it says too little. Twice: for the fit
alone as a Localizer does it, given isolated spots, and for the whole job on frames with one molecule a cell of 24 × 24
px, where a faint molecule must first be found: those that are found have, by luck, more photons. Where fewer than half
are found the figure stands in brackets and is not scored: the lucky few are no sample of all. All molecules have the
width that is given. The photons of a fit that is told it are printed for comparison, and with them what a true claim
would show: a normal distribution that has lost its lower end scatters less. The plot is drawn in an environment of its
own, made from requirements/peer-plots.txt.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
from aims import Aim, aims_table
from contest import HERE, MAKE_ENVIRONMENT, table
from molecule import Array
from programs.simulated import GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E, SIGMA_PX
from scipy.stats import norm
from scores import MAX_ERROR_PX, crlb, match, spherical
from simulate import field_of, spots_of

from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, FitStatus, Localizer, fit_spots, warmup
from locstream.fitting.gaussian import WIDTH_PRIOR, FitModel
from locstream.fitting.table import SECOND_ORDER

BACKGROUNDS = (2, 5, 10, 20, 50, 100, 200)
PHOTONS = (100, 200, 500, 1000, 2000, 5000, 10_000)
QUANTITIES = ("x", "y", "N", "b")
COLUMNS = (0, 1, 2, 4)
"""Those of `SpotFits.estimate`."""
WANTED = (0.95, 1.10)
FEWEST_PART = 0.5
"""Where a smaller part of the molecules was found, the standard deviation of the rest is printed, but not scored."""
FEWEST = 200
"""With fewer molecules it is too uncertain to print."""


class Pulls(NamedTuple):
    """(found - true) / claimed, shape (n, 4), of so large a part of the molecules that were there."""

    values: Array
    part: float


def of_the_fit(photons: float, background: float, n: int, model: FitModel = "sigma") -> Pulls:
    """Return those of the fit alone, as far as it converged."""
    electrons, truth = spots_of(photons, background, n)
    prior = WIDTH_PRIOR if model == "sigma" else 0.0
    fits = fit_spots(electrons, SIGMA_PX, READ_NOISE_E**2, model, width_prior=prior)
    true = np.column_stack([truth[name] for name in ("x", "y", "photons", "background")])
    estimate = fits.estimate[:, COLUMNS].astype(float)
    far = np.hypot(*(estimate - true)[:, :2].T) > MAX_ERROR_PX
    good = (fits.status == FitStatus.CONVERGED) & ~far
    claimed = fits.uncertainty[:, COLUMNS].astype(float)
    claimed[:, :2] *= np.sqrt(1 + SECOND_ORDER * (claimed[:, 2] / estimate[:, 2]) ** 2)[:, None]
    values = (estimate - true)[good] / claimed[good]
    return Pulls(values, float(good.mean()))


def of_the_whole_job(photons: float, background: float, frames: int) -> Pulls:
    """Return those of the rows that belong to a molecule."""
    made = field_of(photons, background, frames)
    camera = CameraCalibration(PIXEL_NM, OFFSET_ADU, GAIN_E_PER_ADU, READ_NOISE_E)
    _, height, width = made.frames.shape
    localizer = Localizer(camera, height, width, FitOptions(psf_sigma_nm=SIGMA_PX * PIXEL_NM))
    rows = np.concatenate([localizer(image, number) for number, image in enumerate(made.frames)])
    found = np.column_stack([rows["frame"], rows["x_nm"] / PIXEL_NM, rows["y_nm"] / PIXEL_NM])
    t, f = match(made.truth, found.astype(float), MAX_ERROR_PX)
    truth, rows = made.truth[t], rows[f]
    values = np.column_stack(
        [
            (rows["x_nm"] - PIXEL_NM * truth["x"]) / rows["x_uncertainty_nm"],
            (rows["y_nm"] - PIXEL_NM * truth["y"]) / rows["y_uncertainty_nm"],
            (rows["photons"] - truth["photons"]) / rows["photons_uncertainty"],
            (rows["background"] - truth["background"]) / rows["background_uncertainty"],
        ]
    )
    return Pulls(values, len(t) / len(made.truth))


def position_bound_px(photons: float, background: float) -> float:
    """Return the bound of x for a molecule in the middle of the box, px."""
    return float(crlb(spherical(), np.array([[3.0, 3.0, photons, background, SIGMA_PX]]), READ_NOISE_E)[0, 0])


def cell(pulls: Pulls, k: int) -> str:
    """Return the standard deviation of one quantity, marked where it is not as wanted, bracketed where not scored."""
    if len(pulls.values) < FEWEST:
        return "–"
    spread = float(np.std(pulls.values[:, k]))
    if pulls.part < FEWEST_PART:
        return f"({spread:.3f})"
    return f"{spread:.3f}" + ("" if WANTED[0] <= spread <= WANTED[1] else " !")


def survivors_spread(part: float) -> float:
    """Return the standard deviation of the upper part of a normal distribution of which it is 1.

    Those with the fewest photons are not found: not even a true claim shows more of the rest.
    """
    if part > 1 - 1 / FEWEST:
        return 1.0
    lowest = float(norm.ppf(1 - part))
    mean = float(norm.pdf(lowest)) / part
    return math.sqrt(1 + lowest * mean - mean**2)


def photons_of_a_known_width(grid: dict[tuple[int, int], Pulls]) -> str:
    """Return a table of the scatter of N, and what a true claim would show."""
    head, k = ["background \\ photons", *(f"{p:,}" for p in PHOTONS)], QUANTITIES.index("N")
    rows = [
        [str(b)] + [f"{np.std(grid[b, p].values[:, k]):.3f} / {survivors_spread(grid[b, p].part):.3f}" for p in PHOTONS]
        for b in BACKGROUNDS
    ]
    return f"Fit alone that is told the width, N: standard deviation, and that of a true claim\n\n{table(head, rows)}"


def tables(grid: dict[tuple[int, int], Pulls], what: str) -> str:
    """Return a table for each quantity, one row a background."""
    head = ["background \\ photons", *(f"{p:,}" for p in PHOTONS)]
    parts = []
    for k, quantity in enumerate(QUANTITIES):
        rows = [[str(b), *(cell(grid[b, p], k) for p in PHOTONS)] for b in BACKGROUNDS]
        parts.append(f"{what}, {quantity}: standard deviation of (found - true) / claimed σ\n\n{table(head, rows)}")
    rows = [[str(b), *(f"{grid[b, p].part:.1%}" for p in PHOTONS)] for b in BACKGROUNDS]
    parts.append(f"{what}: part of the molecules that this is of\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def aim(grid: dict[tuple[int, int], Pulls], what: str) -> Aim:
    """Return how many of the standard deviations that could be told of x, y and N are as wanted."""
    told = [
        float(np.std(pulls.values[:, k]))
        for pulls in grid.values()
        for k in range(QUANTITIES.index("b"))
        if len(pulls.values) >= FEWEST and pulls.part >= FEWEST_PART
    ]
    good = sum(WANTED[0] <= spread <= WANTED[1] for spread in told)
    return Aim(f"{what}: standard deviations of x, y, N within {WANTED[0]} … {WANTED[1]}", good, len(told), True, 0)


def as_numbers(grid: dict[tuple[int, int], Pulls]) -> dict[str, list[list[float | None]]]:
    """Return the standard deviations for the plot: quantity, background, photons."""
    return {
        quantity: [
            [float(np.std(grid[b, p].values[:, k])) if len(grid[b, p].values) >= FEWEST else None for p in PHOTONS]
            for b in BACKGROUNDS
        ]
        for k, quantity in enumerate(QUANTITIES)
    }


def draw(file: Path, grids: dict[str, dict[tuple[int, int], Pulls]]) -> None:
    """Draw the plot, where the environment for it can be made."""
    made = subprocess.run([sys.executable, str(MAKE_ENVIRONMENT), "plots"], capture_output=True, text=True, check=False)
    if made.returncode:
        print(f"No plot: matplotlib could not be installed: {made.stderr.strip().splitlines()[-1]}")
        return
    numbers = {
        "photons": PHOTONS,
        "backgrounds": BACKGROUNDS,
        "wanted": WANTED,
        "title": machine.statement(),
        "panels": {name: as_numbers(grid) for name, grid in grids.items()},
    }
    subprocess.run(
        [made.stdout.splitlines()[-1], str(HERE / "plot_uncertainties.py"), str(file)],
        input=json.dumps(numbers),
        text=True,
        check=True,
    )


def main() -> None:
    """Print the tables; draw the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the molecules")
    parser.add_argument("--plot", type=Path, help="write the plot to this PNG file")
    given = parser.parse_args()
    machine.pin()
    print(machine.statement() + "\n")
    warmup()
    spots, frames = (2_000, 8) if given.quick else (20_000, 80)
    fit = {(b, p): of_the_fit(p, b, spots) for b in BACKGROUNDS for p in PHOTONS}
    told = {(b, p): of_the_fit(p, b, spots, "fixed") for b in BACKGROUNDS for p in PHOTONS}
    whole = {(b, p): of_the_whole_job(p, b, frames) for b in BACKGROUNDS for p in PHOTONS}
    print("\n\n".join([tables(fit, "Fit alone"), photons_of_a_known_width(told), tables(whole, "Whole job")]) + "\n")
    rows = [[str(b), *(f"{position_bound_px(p, b) * PIXEL_NM:.1f}" for p in PHOTONS)] for b in BACKGROUNDS]
    print("For comparison, the bound of x, nm\n")
    print(table(["background \\ photons", *(f"{p:,}" for p in PHOTONS)], rows))
    if not given.quick:
        print("\n" + aims_table([aim(fit, "Fit alone"), aim(whole, "Whole job")]))
    if given.plot:
        draw(given.plot, {"fit alone": fit, "whole job": whole})


if __name__ == "__main__":
    main()
