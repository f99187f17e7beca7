"""Where the fluorophores of the simulated cell sit: microtubules around a nucleus full of nuclear pores.

Sites are (n, 2) arrays of x, y in nm, measured from the corner of the field.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Sites = npt.NDArray[np.float64]
"""Shape (n, 2): x and y of every fluorophore, nm."""

TUBE_RADIUS_NM = 12.5
MICROTUBULES_PER_UM = 1.1
"""Microtubules per µm of the field's diagonal."""
NUCLEUS_OVERLAP = 0.03
"""Largest part of a microtubule that may lie over the nucleus."""
LABELS_PER_UM = 100.0
CURVATURE_PER_UM = 0.22
"""Root mean square curvature of a filament, 1/µm."""
CURVATURE_LENGTH_NM = 1500.0
"""How far along a filament its curvature stays the same."""
STEP_NM = 20.0
LINKAGE_NM = 3.0
"""Distance of a fluorophore from what it labels: 1 sigma in x and in y."""

PORE_RADIUS_NM = 53.5
PORE_CORNERS = 8
LABELS_PER_CORNER = 4
LABELLED_FRACTION = 0.75
PORE_PITCH_NM = 430.0
"""Distance between neighbours of the hexagonal grid from which pores are displaced at random."""
PORE_DISPLACEMENT = 0.3
"""Largest displacement along x and along y, in parts of the pitch: two pores never touch."""
PORE_FRACTION = 0.9
"""Part of the grid that has a pore, which makes 5.6 pores per µm²."""


class Ellipse:
    """An upright ellipse: centre and semi-axes in nm."""

    def __init__(self, x_nm: float, y_nm: float, a_nm: float, b_nm: float) -> None:
        self.centre = np.array([x_nm, y_nm])
        self.axes = np.array([a_nm, b_nm])

    def contains(self, points: Sites) -> npt.NDArray[np.bool_]:
        """Say of each point whether it lies inside."""
        return np.asarray((((points - self.centre) / self.axes) ** 2).sum(axis=1) < 1)


def nucleus_of(width_nm: float, height_nm: float) -> Ellipse:
    """Return the nucleus of the cell that fills the field."""
    return Ellipse(0.64 * width_nm, 0.60 * height_nm, 0.23 * width_nm, 0.27 * height_nm)


def filament(rng: np.random.Generator, start: npt.NDArray[np.float64], heading: float, length_nm: float) -> Sites:
    """Return the axis of a gently curving filament.

    Parameters
    ----------
    rng
        Source of the curvature.
    start, heading
        First point, nm, and first direction, radians from x towards y.
    length_nm
        Arc length.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), nm, one point every `STEP_NM`.
    """
    steps = max(int(length_nm / STEP_NM), 2)
    window = int(CURVATURE_LENGTH_NM / STEP_NM)
    curvature = np.convolve(rng.normal(size=steps + window - 1), np.ones(window) / np.sqrt(window), "valid")
    angle = heading + np.cumsum(curvature * CURVATURE_PER_UM / 1000 * STEP_NM)
    return np.asarray(start + STEP_NM * np.cumsum(np.column_stack([np.cos(angle), np.sin(angle)]), axis=0))


def label_filament(rng: np.random.Generator, axis: Sites) -> Sites:
    """Put fluorophores on the wall of the tube around an axis; from above its two edges are brightest."""
    count = rng.poisson(LABELS_PER_UM * len(axis) * STEP_NM / 1000)
    where = rng.uniform(0, len(axis) - 1, count)
    index = where.astype(np.intp)
    along = axis[index + 1] - axis[index]
    points = axis[index] + (where - index)[:, None] * along
    across = np.column_stack([-along[:, 1], along[:, 0]]) / STEP_NM
    offset_nm = TUBE_RADIUS_NM * np.cos(rng.uniform(0, 2 * np.pi, count))
    return np.asarray(points + offset_nm[:, None] * across + rng.normal(0, LINKAGE_NM, (count, 2)))


def microtubules(rng: np.random.Generator, width_nm: float, height_nm: float) -> Sites:
    """Return the labels of microtubules that go round the nucleus.

    Two of three fan out from a centre beside it, the others cross the field from its border.
    """
    field = np.array([width_nm, height_nm])
    nucleus = nucleus_of(width_nm, height_nm)
    centre = np.array([0.33, 0.27]) * field
    reach_nm = float(np.hypot(*field))
    wanted = max(round(MICROTUBULES_PER_UM * reach_nm / 1000), 6)
    found: list[Sites] = []
    for _ in range(20 * wanted):
        if len(found) % 3:
            start, heading = centre + rng.normal(0, 0.012 * reach_nm, 2), rng.uniform(0, 2 * np.pi)
        else:
            start = rng.uniform(0, 1, 2)
            start[rng.integers(2)] = rng.integers(2)
            start *= field
            towards = rng.uniform(0.2, 0.8, 2) * field - start
            heading = float(np.arctan2(towards[1], towards[0]))
        axis = filament(rng, start, heading, rng.uniform(0.5, 1.3) * reach_nm)
        if nucleus.contains(axis).mean() < NUCLEUS_OVERLAP:
            found.append(label_filament(rng, axis))
        if len(found) == wanted:
            break
    labels = np.concatenate([np.empty((0, 2)), *found])
    return np.asarray(labels[((labels >= 0) & (labels < field)).all(axis=1)])


def nuclear_pores(rng: np.random.Generator, width_nm: float, height_nm: float) -> Sites:
    """Return the labels of nuclear pores: rings of eight corners, 107 nm across, each turned at random."""
    pitch_nm = np.array([PORE_PITCH_NM, PORE_PITCH_NM * np.sqrt(3) / 2])
    columns, rows = int(width_nm / pitch_nm[0]) + 2, int(height_nm / pitch_nm[1]) + 2
    grid = np.stack(np.meshgrid(np.arange(columns, dtype=np.float64), np.arange(rows, dtype=np.float64)), axis=-1)
    grid[1::2, :, 0] += 0.5
    centres = grid.reshape(-1, 2) * pitch_nm
    centres += rng.uniform(-PORE_DISPLACEMENT, PORE_DISPLACEMENT, centres.shape) * PORE_PITCH_NM
    here = nucleus_of(width_nm, height_nm).contains(centres) & (rng.random(len(centres)) < PORE_FRACTION)
    centres = centres[here]
    turn = rng.uniform(0, 2 * np.pi, (len(centres), 1))
    angle = turn + np.arange(PORE_CORNERS) * (2 * np.pi / PORE_CORNERS)
    corners = centres[:, None, :] + PORE_RADIUS_NM * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    labels = np.repeat(corners.reshape(-1, 2), LABELS_PER_CORNER, axis=0)
    labels = labels[rng.random(len(labels)) < LABELLED_FRACTION]
    return np.asarray(labels + rng.normal(0, LINKAGE_NM, labels.shape))


STRUCTURES: dict[str, Callable[[np.random.Generator, float, float], Sites]] = {
    "microtubules": microtubules,
    "pores": nuclear_pores,
}
"""What a sample may be made of, by the name it has in the configuration."""
