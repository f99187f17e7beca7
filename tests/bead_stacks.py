"""Stacks of beads over z whose depths are known, and the images of molecules behind an astigmatic lens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fitting_frames import integrated
from locstream.calibration.astigmatism import AstigmatismCalibration

Doubles = npt.NDArray[np.float64]


def defocusing(sigma_px: float, focus_um: float, depth_um: float, a: float = 0.0, b: float = 0.0) -> tuple[float, ...]:
    """Return Huang's defocusing curve as the coefficients of σ², px², for powers of z in µm."""
    u = np.polynomial.Polynomial([-focus_um / depth_um, 1 / depth_um])
    return tuple((sigma_px**2 * (1 + u**2 + a * u**3 + b * u**4)).coef.tolist())


def lens(**changes: object) -> AstigmatismCalibration:
    """Return an astigmatic lens with its foci at ± 200 nm."""
    values: dict[str, object] = {
        "variance_x_px2": defocusing(1.3, -0.2, 0.4),
        "variance_y_px2": defocusing(1.3, 0.2, 0.4),
        "z_min_nm": -600.0,
        "z_max_nm": 600.0,
        "pixel_size_nm": 100.0,
        "residual_px": 0.0,
        "z_residual_nm": 0.0,
        "beads": 1,
        "planes": 121,
        "step_nm": 10.0,
    }
    return AstigmatismCalibration.model_validate({**values, **changes})


def bead_stack(
    beads: list[tuple[float, float, float]],
    z_nm: Doubles,
    rng: np.random.Generator,
    *,
    through: AstigmatismCalibration,
    size: int = 64,
    photons: float = 30_000,
) -> npt.NDArray[np.uint16]:
    """Return a stack with a plane at each of ``z_nm``; a bead is a row, a column and a depth of its own, nm."""
    frames = np.full((len(z_nm), size, size), 110.0)
    for plane, z in enumerate(z_nm):
        for row, column, depth_nm in beads:
            sigma_x = float(through.sigma_x_px(z - depth_nm))
            sigma_y = float(through.sigma_y_px(z - depth_nm))
            down, along = integrated(row, sigma_y, 0, size), integrated(column, sigma_x, 0, size)
            frames[plane] += photons * np.outer(down, along)
    return rng.poisson(frames).clip(0, 65_535).astype(np.uint16)


def depth_means(theta: Doubles, box: int, through: AstigmatismCalibration) -> Doubles:
    """Return the means of spots with the parameters x, y, photons, background, z in nm."""
    x, y, photons, background, z = theta.T
    sigma_x, sigma_y = through.sigma_x_px(z), through.sigma_y_px(z)
    down = np.array([integrated(centre, sigma, 0, box) for centre, sigma in zip(y, sigma_y, strict=True)])
    along = np.array([integrated(centre, sigma, 0, box) for centre, sigma in zip(x, sigma_x, strict=True)])
    shape = photons[:, None, None] * down[:, :, None] * along[:, None, :]
    return np.asarray(background[:, None, None] + shape)


def depth_bound_nm(theta: Doubles, box: int, through: AstigmatismCalibration) -> Doubles:
    """Return the Cramér–Rao bound of z where x, y, photons, background and z are the unknowns, nm."""
    slopes = []
    for k, step in enumerate((1e-4, 1e-4, 1e-2, 1e-3, 1e-2)):
        change = step * np.eye(5)[k]
        slopes.append(
            (depth_means(theta + change, box, through) - depth_means(theta - change, box, through)) / (2 * step)
        )
    slope = np.array(slopes)
    fisher = np.einsum("inab,jnab->nij", slope / depth_means(theta, box, through), slope)
    return np.sqrt(np.linalg.inv(fisher)[:, 4, 4])
