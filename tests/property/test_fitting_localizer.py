"""Whatever a camera sends and whatever its calibration says: rows that every reader can take, or none."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, FitStatus, Localizer
from locstream.fitting.table import SECOND_ORDER
from locstream.localizations import FIELDS, LOCALIZATION, Localizations

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def safe(rows: Localizations, height: int, width: int, pixel_nm: float, frame: int) -> None:
    """Hold rows to what the results file and every program that reads it rely on."""
    assert rows.dtype == LOCALIZATION
    for field in FIELDS:
        assert np.isfinite(rows[field.name]).all(), field.name
        assert (rows[field.name] >= 0).all(), field.name
    assert (rows["x_nm"] < width * pixel_nm).all()
    assert (rows["y_nm"] < height * pixel_nm).all()
    beyond = np.sqrt(1 + SECOND_ORDER * (rows["photons_uncertainty"] / rows["photons"]) ** 2)
    bound = np.maximum(rows["x_uncertainty_nm"], rows["y_uncertainty_nm"]) / beyond
    assert (bound <= pixel_nm * 1.0001).all()
    assert (rows["frame"] == frame).all()
    assert (rows["status"] == FitStatus.CONVERGED).all()
    assert (rows["iterations"] > 0).all()


CAMERAS = st.builds(
    CameraCalibration,
    pixel_size_nm=st.floats(40, 300),
    offset_adu=st.floats(0, 70_000),
    gain_e_per_adu=st.floats(1e-3, 100),
    read_noise_e=st.floats(0, 100),
    em_gain=st.sampled_from([1.0, 1.5, 300.0]),
    quantum_efficiency=st.floats(0.05, 1),
    saturation_adu=st.none() | st.floats(1, 65_535),
)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), camera=CAMERAS, threshold=st.floats(2, 10), frame=st.integers(0, 2**32 - 1))
def test_any_pixels(data: st.DataObject, camera: CameraCalibration, threshold: float, frame: int) -> None:
    shape = data.draw(SHAPES)
    values = st.integers(0, 65_535) | st.sampled_from([0, 100, 4095, 65_535])
    image = data.draw(hnp.arrays(np.uint16, shape, elements=values, fill=st.integers(0, 65_535)))
    rows = Localizer(camera, *shape, FitOptions(threshold=threshold))(image, frame)
    safe(rows, *shape, camera.pixel_size_nm, frame)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(7, 90), st.integers(7, 90)),
    density=st.floats(0, 0.1),
    sigma=st.floats(0.5, 3),
    believed_sigma_nm=st.floats(40, 400),
    background=st.floats(0, 300),
    brightness=st.floats(0.1, 300),
    separation=st.integers(1, 5),
    mapped=st.booleans(),
)
def test_any_molecules(
    seed: int,
    shape: tuple[int, int],
    density: float,
    sigma: float,
    believed_sigma_nm: float,
    background: float,
    brightness: float,
    separation: int,
    mapped: bool,
) -> None:
    """From an empty frame to one molecule in every ten pixels, seen with any idea of their width."""
    rng = np.random.default_rng(seed)
    noise: float | np.ndarray = 1.6
    if mapped:
        noise = rng.exponential(2, shape).astype(np.float32)
        noise[rng.random(shape) < 0.01] = 200
    camera = CameraCalibration(100.0, 100.0, 0.46, noise)
    table = scatter(rng.poisson(density * shape[0] * shape[1]), *shape, rng, margin=-2)
    table["photons"] *= brightness
    image = expose(light(table, *shape, sigma=sigma, background=background), camera, rng)
    options = FitOptions(psf_sigma_nm=believed_sigma_nm, min_separation_px=separation)
    rows = Localizer(camera, *shape, options)(image, 3)
    safe(rows, *shape, 100.0, 3)
    assert len(rows) <= 0.5 * image.size
