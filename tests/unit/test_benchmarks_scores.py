"""The scores by which all programs are judged, held against what can be worked out without them."""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from molecule import Astigmatism, box_means, pixel_integrals
from scores import (
    Model,
    astigmatic,
    crlb,
    elliptic,
    error_over_bound,
    isolated,
    match,
    position_bound,
    score,
    score_spots,
    spherical,
)

TRUTH = np.dtype([("frame", "<i4")] + [(n, "<f8") for n in ("x", "y", "photons", "background", "sigma_x", "sigma_y")])


def truth_of(*rows: tuple[int, float, float], sigma: tuple[float, float] = (1.3, 1.3)) -> np.ndarray:
    truth = np.zeros(len(rows), TRUTH)
    for k, (frame, x, y) in enumerate(rows):
        truth[k] = (frame, x, y, 1000, 10, *sigma)
    return truth


def found_of(*rows: tuple[int, float, float]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 3)


# --- the image of a molecule


def test_a_pixel_holds_the_integral_of_the_gaussian_over_its_area() -> None:
    x, y, sigma_x, sigma_y = 2.7, 3.4, 1.1, 1.6

    def density(v: float, u: float) -> float:
        exponent = ((u - x) / sigma_x) ** 2 + ((v - y) / sigma_y) ** 2
        return float(np.exp(-0.5 * exponent) / (2 * np.pi * sigma_x * sigma_y))

    one = [np.array([value]) for value in (x, y, 1.0, 0.0, sigma_x, sigma_y)]
    image = box_means(*one, 7)[0]
    for row, column in ((3, 3), (0, 0), (5, 1)):
        expected, _ = dblquad(density, column - 0.5, column + 0.5, row - 0.5, row + 0.5)
        assert image[row, column] == pytest.approx(expected, rel=1e-7)


def test_the_light_is_all_there_in_a_box_that_is_large_enough() -> None:
    one = [np.array([value]) for value in (20.2, 19.6, 800.0, 3.0, 1.3, 1.3)]
    assert box_means(*one, 41).sum() == pytest.approx(800 + 3 * 41**2, rel=1e-9)


def test_pixels_are_counted_from_the_first() -> None:
    centre, sigma = np.array([105.2]), np.array([1.3])
    here = pixel_integrals(centre - 100, sigma, np.array([0.0]), 11)
    assert np.allclose(pixel_integrals(centre, sigma, np.array([100.0]), 11), here, rtol=1e-12)
    assert here[0].argmax() == 5


def test_the_axes_are_in_focus_on_opposite_sides() -> None:
    curve = Astigmatism(sigma_px=1.3, half_distance_nm=200, depth_nm=450)
    z = np.linspace(-400, 400, 801)
    x, y = curve.widths(z)
    assert z[x.argmin()] == pytest.approx(200, abs=25), "the cubic term moves it a little"
    assert np.allclose(x, y[::-1])
    assert x.min() == pytest.approx(1.3, rel=0.01)


# --- the bound


def test_without_background_and_pixels_the_bound_is_sigma_over_root_n() -> None:
    """With fine pixels and no background, x is known to σ / √N, N to √N, and σ to σ / √(4N) (two axes)."""
    sigma, photons = 12.0, 5_000.0
    parameters = np.array([[50.0, 50.0, photons, 1e-7, sigma]])
    x, y, n, _, s = crlb(spherical(101), parameters, read_noise_e=0.0)[0]
    assert x == pytest.approx(sigma / np.sqrt(photons), rel=0.01)
    assert y == pytest.approx(x, rel=1e-6)
    assert n == pytest.approx(np.sqrt(photons), rel=0.01)
    assert s == pytest.approx(sigma / np.sqrt(4 * photons), rel=0.02)


def test_in_pixels_and_background_the_bound_agrees_with_a_published_approximation() -> None:
    """Rieger & Stallinga (ChemPhysChem 15, 664, 2014): σ² / N · (1 + 4τ + √(2τ / (1 + 4τ))), τ = 2π σₐ² b / N."""
    sigma = 1.3
    for photons, background in ((500.0, 5.0), (1000.0, 10.0), (3000.0, 50.0)):
        parameters = np.array([[10.0, 10.0, photons, background, sigma]])
        bound = crlb(spherical(21), parameters, read_noise_e=0.0)[0, 0]
        wide = sigma**2 + 1 / 12
        tau = 2 * np.pi * wide * background / photons
        expected = np.sqrt(wide / photons * (1 + 4 * tau + np.sqrt(2 * tau / (1 + 4 * tau))))
        assert bound == pytest.approx(expected, rel=0.03)


def test_read_noise_is_light_that_tells_nothing() -> None:
    parameters = np.array([[3.1, 2.8, 700.0, 10.0, 1.3]])
    brighter = parameters.copy()
    brighter[0, 3] += 1.6**2
    assert np.allclose(crlb(spherical(), parameters, 1.6), crlb(spherical(), brighter, 0.0), rtol=1e-6)


def test_the_bound_does_not_depend_on_who_stands_beside() -> None:
    rng = np.random.default_rng(1)
    many = np.column_stack(
        [*rng.uniform(2.5, 3.5, (2, 5000)), np.full(5000, 600.0), np.full(5000, 9.0), np.full(5000, 1.3)]
    )
    together = crlb(spherical(), many, 1.6)
    assert np.allclose(together[[0, 4096, 4999]], crlb(spherical(), many[[0, 4096, 4999]], 1.6), rtol=1e-12)


def test_more_unknowns_cannot_be_known_better() -> None:
    round_ = np.array([[3.2, 2.9, 800.0, 12.0, 1.3]])
    bound = crlb(spherical(), round_, 1.6)[0]
    wider = crlb(elliptic(), np.column_stack([round_, [1.3]]), 1.6)[0]
    assert np.all(wider[:4] >= bound[:4] * (1 - 1e-9))
    assert wider[4] > bound[4], "each width is known less well than the one"


def likeliest(counts: np.ndarray, start: np.ndarray, model: Model) -> np.ndarray:
    """Maximum likelihood by scipy: least squares of the signed roots of the deviance."""

    def residuals(p: np.ndarray) -> np.ndarray:
        mean = np.maximum(model(p[None])[0].ravel(), 1e-6)
        excess = mean - counts + counts * np.log(np.where(counts > 0, counts, 1) / mean)
        return np.sign(mean - counts) * np.sqrt(2 * np.maximum(excess, 0))

    return least_squares(residuals, start, x_scale=[1, 1, 100, 1, 1]).x


@pytest.mark.parametrize(
    ("model", "true"),
    [
        (spherical(), (3.2, 2.9, 1500.0, 5.0, 1.3)),
        (spherical(), (3.2, 2.9, 6000.0, 80.0, 1.3)),
        (astigmatic(Astigmatism(), box=13), (6.2, 5.9, 4000.0, 10.0, 0.2)),
    ],
    ids=["dim", "bright", "astigmatic"],
)
def test_a_maximum_likelihood_fit_scatters_as_the_bound_says(model: Model, true: tuple[float, ...]) -> None:
    rng = np.random.default_rng(11)
    n, parameters = 250, np.array(true)
    mean = model(parameters[None])[0].ravel()
    fits = np.array([likeliest(rng.poisson(mean).astype(float), parameters, model) for _ in range(n)])
    ratio = fits.std(axis=0) / crlb(model, parameters[None], read_noise_e=0.0)[0]
    assert np.all(np.abs(ratio - 1) < 5 / np.sqrt(2 * n)), ratio
    assert np.all(np.abs(fits.mean(axis=0) - parameters) < 5 * fits.std(axis=0) / np.sqrt(n))


def test_the_bound_of_positions_takes_the_pixel_that_the_molecule_is_in() -> None:
    far = truth_of((0, 103.2, 57.9), (0, 3.2, 2.9))
    bound = position_bound(far, 1.6)
    assert np.allclose(bound[0], bound[1], rtol=1e-9)
    assert np.allclose(bound[1], crlb(spherical(), np.array([[3.2, 2.9, 1000.0, 10.0, 1.3]]), 1.6)[0, :2])
    oval = position_bound(truth_of((0, 3.2, 2.9), sigma=(1.3, 2.0)), 1.6)
    assert oval[0, 1] > 1.3 * oval[0, 0], "blurred along y"


# --- pairs


def test_pairs_are_the_best_of_all_assignments() -> None:
    rng = np.random.default_rng(7)
    for _ in range(20):
        n = int(rng.integers(2, 6))
        places, errors = rng.uniform(0, 6, (n, 2)), rng.normal(0, 0.8, (n, 2))
        truth = truth_of(*[(0, x, y) for x, y in places])
        found = found_of(*[(0, x, y) for x, y in places + errors])
        t, f = match(truth, found, radius_px=100.0)
        ours = np.hypot(truth["x"][t] - found[f, 1], truth["y"][t] - found[f, 2]).sum()
        best = min(np.hypot(*(places - (places + errors)[list(p)]).T).sum() for p in permutations(range(n)))
        assert len(t) == n
        assert ours == pytest.approx(best)


def test_as_many_pairs_as_possible_come_before_near_ones() -> None:
    """The nearest pair is given up where two pairs can be had instead of one."""
    truth = truth_of((0, 0.0, 0.0), (0, 1.5, 0.0))
    found = found_of((0, 1.0, 0.0), (0, 3.0, 0.0))
    t, f = match(truth, found, radius_px=1.6)
    assert sorted(zip(t.tolist(), f.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_frames_do_not_mix_and_rows_may_come_in_any_order() -> None:
    truth = truth_of((2, 5.0, 5.0), (0, 5.0, 5.0), (1, 9.0, 1.0))
    found = found_of((1, 9.1, 1.0), (0, 5.0, 5.2), (3, 5.0, 5.0))
    t, f = match(truth, found, radius_px=1.0)
    assert sorted(zip(t.tolist(), f.tolist(), strict=True)) == [(1, 1), (2, 0)]


@pytest.mark.parametrize("found", [found_of(), found_of((0, 50.0, 50.0)), found_of((7, 5.0, 5.0))])
def test_nothing_near_is_no_pair(found: np.ndarray) -> None:
    truth = truth_of((0, 5.0, 5.0))
    t, f = match(truth, found, radius_px=2.0)
    assert len(t) == len(f) == 0
    result = score(truth, found, 2.0, read_noise_e=1.6)
    assert (result.jaccard, result.recall, result.precision, result.isolated) == (0, 0, 0, 0)
    assert np.isnan(result.rms_px)
    assert np.isnan(result.rmse_over_crlb.value)


# --- scores


def test_jaccard_counts_what_was_missed_and_what_was_made_up() -> None:
    truth = truth_of((0, 5.0, 5.0), (0, 20.0, 5.0), (0, 40.0, 5.0))
    found = found_of((0, 5.3, 5.0), (0, 20.3, 4.6), (0, 60.0, 60.0))
    result = score(truth, found, radius_px=1.0)
    assert (result.truth, result.found, result.matched) == (3, 3, 2)
    assert result.jaccard == pytest.approx(2 / 4)
    assert result.recall == result.precision == pytest.approx(2 / 3)
    assert result.bias_x_px == pytest.approx(0.3)
    assert result.bias_y_px == pytest.approx(-0.2)
    assert result.rms_px == pytest.approx(np.sqrt((0.3**2 + 0 + 0.3**2 + 0.4**2) / 4))
    assert np.isnan(result.rmse_over_crlb.value)


def test_two_in_one_place_are_one_pair_and_one_too_many() -> None:
    result = score(truth_of((0, 5.0, 5.0)), found_of((0, 5.1, 5.0), (0, 5.2, 5.0)), radius_px=1.0)
    assert (result.matched, result.jaccard) == (1, 0.5)
    assert result.bias_x_px == pytest.approx(0.1), "the nearer of the two"


def test_only_neighbours_in_the_same_frame_end_isolation() -> None:
    truth = truth_of((0, 5.0, 5.0), (0, 12.0, 5.0), (1, 5.0, 5.0), (1, 5.0, 17.5))
    assert isolated(truth, 12.0).tolist() == [False, False, True, True]


def test_errors_of_the_size_of_the_bound_give_one() -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    truth = np.zeros(n, TRUTH)
    truth["frame"] = np.arange(n)
    truth["x"], truth["y"] = rng.uniform(20, 40, (2, n))
    truth["photons"], truth["background"] = rng.uniform(300, 3000, n), 10
    truth["sigma_x"] = truth["sigma_y"] = 1.3
    bound = position_bound(truth, 1.6)
    errors = rng.standard_normal((n, 2)) * bound
    found = np.column_stack([truth["frame"], truth["x"] + errors[:, 0], truth["y"] + errors[:, 1]])
    result = score(truth, found, radius_px=2.0, read_noise_e=1.6)
    assert result.isolated == n
    assert result.rmse_over_crlb.value == pytest.approx(1, abs=0.02)
    found[:, 1:] += 0.5 * errors
    assert score(truth, found, radius_px=3.0, read_noise_e=1.6).rmse_over_crlb.value == pytest.approx(1.5, abs=0.03)


def test_crowded_molecules_have_no_say_in_the_error_over_the_bound() -> None:
    truth = truth_of((0, 30.0, 30.0), (0, 33.0, 30.0), (0, 90.0, 90.0))
    found = found_of((0, 31.0, 30.0), (0, 34.0, 30.0), (0, 90.0, 90.0))
    result = score(truth, found, radius_px=1.5, read_noise_e=1.6)
    assert (result.matched, result.isolated) == (3, 1)
    assert np.isnan(result.rmse_over_crlb.value), "of one alone no spread can be told"
    more = truth_of((1, 90.0, 90.0))
    result = score(np.concatenate([truth, more]), np.vstack([found, [1, 90.0, 90.0]]), 1.5, read_noise_e=1.6)
    assert (result.isolated, result.rmse_over_crlb.value) == (2, 0)


def test_error_over_bound_is_the_root_of_the_mean_of_squares() -> None:
    errors, bound = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.6, 0.8], [1.0, 1.0]])
    assert error_over_bound(errors, bound).value == pytest.approx(np.sqrt(25 / 2))
    assert np.isnan(error_over_bound(errors[:0], bound[:0]).value)
    assert str(error_over_bound(errors[:0], bound[:0])) == "–"


def test_the_standard_error_of_the_ratio_is_what_repetitions_show() -> None:
    rng = np.random.default_rng(5)
    n = 400
    ratios = [error_over_bound(rng.standard_normal((n, 2)), np.ones((n, 2))) for _ in range(500)]
    values, claimed = np.array(ratios).T
    assert values.std() == pytest.approx(claimed.mean(), rel=0.15)


def test_fits_that_went_astray_are_counted_and_left_out() -> None:
    truth = truth_of(*[(0, 3.0, 3.0)] * 4)
    found = np.array([[3.1, 3.0, 1000], [3.0, 3.0, 1000], [6.0, 3.0, 1000], [np.nan, 3.0, 1000]])
    result = score_spots(truth, found, read_noise_e=1.6)
    assert result.good == 0.5
    assert result.bias_x_px == pytest.approx(0.05)
    assert result.rms_px == pytest.approx(0.1 / 2)
