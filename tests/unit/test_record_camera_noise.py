"""The simulated chip counts photons where they fall and adds the noise of a real camera."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from locstream.stacks.source import Image
from locstreamd.record.camera_noise import QUANTILES, SimulatedChip, noise_quantiles, normal_quantiles
from locstreamd.record.sample import EMISSION, Emissions, Sample, SimulationOptions

DARK: Emissions = np.empty(0, EMISSION)
NOISELESS = {"background": 0, "read_noise_e": 0, "offset_adu": 0, "gain_e_per_adu": 1}


def options(**given: object) -> SimulationOptions:
    return SimulationOptions.model_validate({"width": 48, "height": 32, "pixel_size_nm": 100, **given})


def emitter(x_nm: float, y_nm: float, photons: float) -> Emissions:
    return np.array([(0, x_nm, y_nm, photons)], EMISSION)


def expose(given: SimulationOptions, emissions: Emissions, number: int = 0) -> Image:
    image = np.full((given.height, given.width), 12_345, np.uint16)
    SimulatedChip(given).expose(number, emissions, image)
    return image


def movie(given: SimulationOptions, emissions: Emissions, frames: int) -> npt.NDArray[np.float64]:
    """Return frames of the same emissions as floating point, shape (frames, rows, columns)."""
    chip = SimulatedChip(given)
    stack = np.empty((frames, given.height, given.width), np.uint16)
    for number in range(frames):
        chip.expose(number, emissions, stack[number])
    return stack.astype(np.float64)


def pixel_integrals(given: SimulationOptions, x_nm: float, y_nm: float) -> npt.NDArray[np.float64]:
    """Return the part of a molecule's photons that falls on each pixel, by the error function."""
    sigma_px = given.psf_sigma_nm / given.pixel_size_nm

    def along(centre_px: float, count: int) -> npt.NDArray[np.float64]:
        edges = np.arange(count + 1) - 0.5
        return np.diff(stats.norm.cdf(edges, centre_px, sigma_px))

    columns = along(x_nm / given.pixel_size_nm, given.width)
    return along(y_nm / given.pixel_size_nm, given.height)[:, None] * columns


# --- photons --------------------------------------------------------------------------------------


def test_without_noise_every_photon_is_counted_once() -> None:
    given = options(**NOISELESS, emitters_per_frame=3)
    molecules = np.array([(0, 2000.0, 1500.0, 1200), (0, 2800.0, 1300.0, 333), (0, 1900.0, 1600.0, 1)], EMISSION)
    assert expose(given, molecules).sum() == 1534


def test_photons_beside_the_frame_are_lost_and_no_others() -> None:
    given = options(**NOISELESS)
    image = expose(given, emitter(-50.0, 1500.0, 200_000))
    assert int(image.sum()) == pytest.approx(100_000, rel=0.02)
    assert expose(given, emitter(-5000.0, 1500.0, 10_000)).sum() == 0


def test_the_spot_is_a_gaussian_integrated_over_pixels() -> None:
    given = options(**NOISELESS, psf_sigma_nm=130)
    x_nm, y_nm, photons = 2031.0, 1577.0, 500_000
    expected = photons * pixel_integrals(given, x_nm, y_nm)
    image = expose(given, emitter(x_nm, y_nm, photons)).astype(np.float64)
    bright = expected > 20
    chi2 = ((image - expected)[bright] ** 2 / expected[bright]).sum()
    assert 1e-4 < stats.chi2.sf(chi2, bright.sum()) < 1 - 1e-4


@pytest.mark.parametrize(("x_nm", "y_nm"), [(2000.0, 1500.0), (2025.0, 1470.0), (2050.0, 1450.0), (1962.5, 1511.0)])
def test_the_centroid_is_where_the_molecule_is(x_nm: float, y_nm: float) -> None:
    given = options(**NOISELESS)
    image = expose(given, emitter(x_nm, y_nm, 500_000)).astype(np.float64)
    rows, columns = np.indices(image.shape)
    tolerance_nm = 5 * given.psf_sigma_nm / np.sqrt(500_000)
    assert (image * columns).sum() / image.sum() * 100 == pytest.approx(x_nm, abs=tolerance_nm)
    assert (image * rows).sum() / image.sum() * 100 == pytest.approx(y_nm, abs=tolerance_nm)


def test_x_runs_along_columns_and_y_down_rows() -> None:
    image = expose(options(**NOISELESS), emitter(4000.0, 700.0, 50_000))
    assert image.shape == (32, 48)
    assert np.unravel_index(image.argmax(), image.shape) == (7, 40)


def test_bright_pixels_have_the_noise_of_poisson_and_read_out() -> None:
    given = options(background=30, read_noise_e=3, gain_e_per_adu=0.5, offset_adu=200)
    truth = emitter(2010.0, 1520.0, 4000)
    expected_e = 30 + 4000 * pixel_integrals(given, 2010.0, 1520.0)
    rng = np.random.default_rng(1)
    chip, frames = SimulatedChip(given), 3000
    stack = np.empty((frames, 32, 48), np.uint16)
    for number in range(frames):
        truth["photons"] = rng.poisson(4000)
        chip.expose(number, truth, stack[number])
    variance = (expected_e + 9) / 0.25 + 1 / 12
    z_mean = (stack.mean(axis=0) - (200 + expected_e / 0.5)) / np.sqrt(variance / frames)
    z_variance = (stack.var(axis=0) / variance - 1) / np.sqrt(2 / frames)
    for z in (z_mean, z_variance):
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert z.std() == pytest.approx(1, abs=0.1)
        assert np.abs(z).max() < 5.5


# --- the dark -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("background", "read_noise_e"), [(0, 0), (0, 1.6), (0.3, 0), (10, 1.6), (10, 0), (0.5, 0.02), (250, 20), (9000, 90)]
)
def test_the_noise_table_has_the_mean_and_the_variance_of_the_model(background: float, read_noise_e: float) -> None:
    table = noise_quantiles(background, read_noise_e)
    assert table.shape == (QUANTILES,)
    assert (np.diff(table) >= 0).all()
    sd = np.sqrt(background + read_noise_e**2)
    assert table.mean() == pytest.approx(background, abs=1e-3 * sd)
    assert table.var() == pytest.approx(sd**2, rel=2e-3, abs=1e-12)


@pytest.mark.parametrize("background", [0.3, 10, 250])
def test_without_read_noise_the_table_is_poissons(background: float) -> None:
    table = noise_quantiles(background, 0)
    assert np.array_equal(table, np.rint(table))
    counts = np.arange(table.max() + 1)
    shares = np.array([(table == k).mean() for k in counts])
    assert shares == pytest.approx(stats.poisson.pmf(counts, background), abs=1 / QUANTILES)


def test_the_table_follows_the_common_distribution_of_background_and_read_noise() -> None:
    background, read_noise_e = 2.5, 0.7
    table = noise_quantiles(background, read_noise_e)
    counts = np.arange(40)
    levels = np.linspace(-1.5, 9, 60)
    model = stats.norm.cdf(levels[:, None], counts, read_noise_e) @ stats.poisson.pmf(counts, background)
    assert (table[None] <= levels[:, None]).mean(axis=1) == pytest.approx(model, abs=5e-4)


def test_the_normal_table_is_symmetric_and_has_its_tails() -> None:
    table = normal_quantiles()
    assert table == pytest.approx(-table[::-1])
    assert table.std() == pytest.approx(1, rel=1e-3)
    assert table[-1] == pytest.approx(stats.norm.isf(0.5 / QUANTILES), rel=1e-6)


def test_dark_frames_have_the_mean_and_the_variance_of_the_model_in_every_pixel() -> None:
    given = options(background=10, read_noise_e=1.6, gain_e_per_adu=0.46, offset_adu=100)
    frames = 2000
    stack = movie(given, DARK, frames)
    variance = (10 + 1.6**2) / 0.46**2 + 1 / 12
    z_mean = (stack.mean(axis=0) - (100 + 10 / 0.46)) / np.sqrt(variance / frames)
    assert abs(z_mean.mean()) < 5 / np.sqrt(z_mean.size)
    assert (z_mean**2).sum() == pytest.approx(z_mean.size, abs=5 * np.sqrt(2 * z_mean.size))
    assert stack.var(axis=0).mean() == pytest.approx(variance, rel=0.01)


def test_noise_has_no_memory_from_pixel_to_pixel_or_frame_to_frame() -> None:
    stack = movie(options(), DARK, 400)
    z = (stack - stack.mean()) / stack.std()
    shifted = {
        "columns": (z[:, :, 1:], z[:, :, :-1]),
        "four columns": (z[:, :, 4:], z[:, :, :-4]),
        "rows": (z[:, 1:], z[:, :-1]),
        "frames": (z[1:], z[:-1]),
    }
    for name, (a, b) in shifted.items():
        assert abs((a * b).mean()) < 5 / np.sqrt(a.size), name


def test_noise_frames_are_not_those_of_another_seed() -> None:
    a, b = expose(options(seed=1), DARK), expose(options(seed=2), DARK)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


# --- limits ---------------------------------------------------------------------------------------


def test_pixels_saturate_and_do_not_wrap() -> None:
    image = expose(options(**NOISELESS, psf_sigma_nm=20), emitter(2000.0, 1500.0, 1_000_000))
    assert image[15, 20] == 65_535
    assert image.astype(np.int64).sum() < 1_000_000


def test_values_below_zero_become_zero_and_not_large() -> None:
    image = expose(options(background=0, read_noise_e=50, offset_adu=0, gain_e_per_adu=1), DARK)
    assert (image == 0).mean() == pytest.approx(0.5, abs=0.1)
    assert image.max() < 300


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 31), (63, 20)])
def test_every_pixel_of_any_shape_is_written(width: int, height: int) -> None:
    image = expose(options(width=width, height=height), DARK)
    assert image.shape == (height, width)
    assert not (image == 12_345).any()
    assert image[:, -1].std() > 1


# --- the same again -------------------------------------------------------------------------------


def test_a_frame_is_the_same_whenever_it_is_taken() -> None:
    given = options(emitters_per_frame=20)
    sample = Sample(given)
    chip, again = SimulatedChip(given), SimulatedChip(given)
    first, second = np.empty((2, 5, 32, 48), np.uint16)
    molecules = [sample.truth(5)[sample.truth(5)["frame"] == n] for n in range(5)]
    for number in range(5):
        chip.expose(number, molecules[number], first[number])
    for number in reversed(range(5)):
        again.expose(number, molecules[number], second[number])
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
