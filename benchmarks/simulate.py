"""Stacks and spots of which the truth is known.

    python benchmarks/simulate.py [NAME …]

writes them into build/bench (all, or those named: A10 is stack A at a background of 10 photoelectrons a pixel); the
other benchmarks do it themselves where one is missing. The same seed gives the same numbers; a frame does not depend
on how many come after it.

A molecule is a Gaussian of σ = 1.3 px = 130 nm, integrated over the pixels, with 200 + Exp(800) photoelectrons, at a
random place at least 8 px from the edge, and shines in one frame. The camera has an offset of 100 ADU, 0.46 e⁻/ADU,
1.6 e⁻ of read noise, and a quantum efficiency of 1: all light is in photoelectrons. Coordinates: x along columns, y
down rows, in px from the centre of pixel (0, 0).
"""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from molecule import Array, Astigmatism, box_means, pixel_integrals
from programs.simulated import BOX, GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E, SIGMA_PX

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"
SEED = 20_261_120

LEAST_PHOTONS, MEAN_OF_THE_REST = 200.0, 800.0
EDGE_PX = 8
REACH_PX = 10
"""A molecule is painted so far around its pixel; beyond lies less than 1e-13 of the light of one in focus."""
DENSE_PER_UM2 = 3.0
SPOTS = 100_000
Z_RANGE_NM = 400.0
ASTIGMATISM = Astigmatism()

Frames = npt.NDArray[np.uint16]
LIGHT = ("x", "y", "photons", "background", "sigma_x", "sigma_y")
TRUTH = np.dtype(
    [("frame", "<i4")] + [(name, "<f8") for name in ("x", "y", "z_nm", "photons", "background", "sigma_x", "sigma_y")]
)


@dataclass(frozen=True)
class Plan:
    """What a stack is like."""

    size: int
    frames: int
    molecules: float
    """A frame, on average."""
    astigmatic: bool = False


def _dense(size: int) -> float:
    return DENSE_PER_UM2 * ((size - 1 - 2 * EDGE_PX) * PIXEL_NM / 1000) ** 2


PLANS = {
    "A": Plan(256, 1000, 20),
    "B": Plan(512, 300, 150),
    "C": Plan(128, 2000, 10),
    "dense": Plan(128, 100, _dense(128)),
    "astigmatic": Plan(256, 500, 20, astigmatic=True),
}
BACKGROUNDS = (10, 50)


class Stack(NamedTuple):
    """A simulated stack, its truth, and the file that holds its frames."""

    frames: Frames
    truth: npt.NDArray[np.void]
    path: Path


class Spots(NamedTuple):
    """Boxes with one molecule each: photoelectrons, shape (n, box, box) float32, and the truth from the first pixel."""

    electrons: npt.NDArray[np.float32]
    truth: npt.NDArray[np.void]
    path: Path


def photons(rng: np.random.Generator, n: int) -> Array:
    """Draw how bright n molecules are."""
    return LEAST_PHOTONS + rng.exponential(MEAN_OF_THE_REST, n)


def camera(rng: np.random.Generator, mean_e: Array) -> Frames:
    """Return what the camera makes of the light: Poisson numbers, read noise, offset, whole ADU."""
    electrons = rng.poisson(mean_e) + READ_NOISE_E * rng.standard_normal(mean_e.shape, np.float32)
    return np.clip(np.rint(electrons / GAIN_E_PER_ADU + OFFSET_ADU), 0, 65_535).astype(np.uint16)


def electrons_of(adu: Frames) -> npt.NDArray[np.float32]:
    """Return photoelectrons, float32."""
    return (adu.astype(np.float32) - np.float32(OFFSET_ADU)) * np.float32(GAIN_E_PER_ADU)


def molecules(n: int, frame: int, background: float) -> npt.NDArray[np.void]:
    """Return the truth of n molecules in focus, without place and brightness."""
    truth = np.zeros(n, TRUTH)
    truth["frame"], truth["background"] = frame, background
    truth["sigma_x"] = truth["sigma_y"] = SIGMA_PX
    return truth


def paint(size: int, truth: npt.NDArray[np.void], background: float) -> Array:
    """Return the mean photoelectrons of a frame."""
    mean = np.full((size + 2 * REACH_PX, size + 2 * REACH_PX), float(background))
    pixels = 2 * REACH_PX + 1
    left, top = (np.rint(truth[axis]) - REACH_PX for axis in ("x", "y"))
    across = pixel_integrals(truth["x"], truth["sigma_x"], left, pixels)
    down = pixel_integrals(truth["y"], truth["sigma_y"], top, pixels)
    for k, (i, j) in enumerate(zip(left.astype(int) + REACH_PX, top.astype(int) + REACH_PX, strict=True)):
        mean[j : j + pixels, i : i + pixels] += truth["photons"][k] * np.outer(down[k], across[k])
    return mean[REACH_PX:-REACH_PX, REACH_PX:-REACH_PX]


def simulate_frame(plan: Plan, kind: str, background: int, frame: int) -> tuple[Frames, npt.NDArray[np.void]]:
    """Return one frame and its truth."""
    rng = np.random.default_rng([SEED, *kind.encode(), background, frame])
    truth = molecules(int(rng.poisson(plan.molecules)), frame, background)
    truth["x"], truth["y"] = rng.uniform(EDGE_PX, plan.size - 1 - EDGE_PX, (2, len(truth)))
    truth["photons"] = photons(rng, len(truth))
    if plan.astigmatic:
        truth["z_nm"] = rng.uniform(-Z_RANGE_NM, Z_RANGE_NM, len(truth))
        truth["sigma_x"], truth["sigma_y"] = ASTIGMATISM.widths(truth["z_nm"])
    return camera(rng, paint(plan.size, truth, background)), truth


def stack(name: str, frames: int | None = None) -> Stack:
    """Return a stack by name, its kind followed by its background: ``B50``. `frames` takes the first so many."""
    kind = name.rstrip("0123456789")
    plan, background = PLANS[kind], int(name.removeprefix(kind))
    n = plan.frames if frames is None else min(frames, plan.frames)
    path, truth_path = _place(f"{name}-{n}")
    if not (path.exists() and truth_path.exists()):
        drawn = [simulate_frame(plan, kind, background, frame) for frame in range(n)]
        _save(truth_path, np.concatenate([truth for _, truth in drawn]))
        _save(path, np.stack([image for image, _ in drawn]))
    return Stack(np.load(path, mmap_mode="r"), np.load(truth_path), path)


def blank(size: int, frames: int, background: int) -> Frames:
    """Return frames without a molecule."""
    rng = np.random.default_rng([SEED, size, background])
    return camera(rng, np.full((frames, size, size), float(background)))


def spots(background: int, n: int = SPOTS, astigmatic: bool = False) -> Spots:
    """Return n isolated spots; the molecule lies in the middle pixel."""
    path, truth_path = _place(f"spots{background}-{n}" + ("-astigmatic" if astigmatic else ""))
    if not (path.exists() and truth_path.exists()):
        rng = np.random.default_rng([SEED, *b"spots", background, astigmatic])
        truth = molecules(n, 0, background)
        truth["photons"] = photons(rng, n)
        if astigmatic:
            truth["z_nm"] = rng.uniform(-Z_RANGE_NM, Z_RANGE_NM, n)
            truth["sigma_x"], truth["sigma_y"] = ASTIGMATISM.widths(truth["z_nm"])
        electrons = draw_spots(rng, truth)
        _save(truth_path, truth)
        _save(path, electrons)
    return Spots(np.load(path), np.load(truth_path), path)


def draw_spots(rng: np.random.Generator, truth: npt.NDArray[np.void], box: int = BOX) -> npt.NDArray[np.float32]:
    """Place each molecule at random within the middle pixel of a box and draw what the camera gives."""
    truth["x"], truth["y"] = box // 2 + rng.uniform(-0.5, 0.5, (2, len(truth)))
    x, y, light, background, sigma_x, sigma_y = (truth[name] for name in LIGHT)
    return electrons_of(camera(rng, box_means(x, y, light, background, sigma_x, sigma_y, box)))


def spots_of(brightness: float, background: float, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.void]]:
    """Return n spots that are all alike, and their truth."""
    rng = np.random.default_rng([SEED, round(brightness), round(background)])
    truth = molecules(n, 0, background)
    truth["photons"] = brightness
    return draw_spots(rng, truth), truth


def field_of(brightness: float, background: float, frames: int, cell_px: int = 24, cells: int = 8) -> Stack:
    """Return frames with one molecule a cell, all alike: none is near another. Not kept on disk."""
    rng = np.random.default_rng([SEED, *b"field", round(brightness), round(background)])
    images, truths = [], []
    for frame in range(frames):
        truth = molecules(cells**2, frame, background)
        row, column = np.divmod(np.arange(cells**2), cells)
        for axis, cell in (("x", column), ("y", row)):
            truth[axis] = cell_px * (cell + 0.5) + rng.uniform(-2, 2, cells**2)
        truth["photons"] = brightness
        images.append(camera(rng, paint(cell_px * cells, truth, background)))
        truths.append(truth)
    return Stack(np.stack(images), np.concatenate(truths), Path())


def _place(name: str) -> tuple[Path, Path]:
    """Return where the data and the truth of a name are kept; another version of this code has another folder."""
    here = Path(__file__)
    code = b"".join((here.parent / f).read_bytes() for f in (here.name, "molecule.py", "programs/simulated.py"))
    folder = FOLDER / hashlib.sha256(code + np.__version__.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.npy", folder / f"{name}-truth.npy"


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write a file that is either whole or not there."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.replace(path)


def main(names: list[str]) -> None:
    """Make what is named, or all of it."""
    every = [f"{kind}{background}" for kind in PLANS for background in BACKGROUNDS]
    every += [f"spots{background}" for background in BACKGROUNDS]
    for name in names or every:
        began = time.perf_counter()
        made = spots(int(name[5:])) if name.startswith("spots") else stack(name)
        print(
            f"{made.path}  {made[0].shape}  {len(made.truth)} molecules  {time.perf_counter() - began:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
