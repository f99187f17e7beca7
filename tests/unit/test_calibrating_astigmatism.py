"""A stack of beads gives back the lens it was taken through, or the reason why it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bead_stacks import bead_stack, defocusing, lens
from locstream.calibrating.astigmatism import MIN_ELONGATION, calibrate_astigmatism, left_out_errors_nm
from locstream.calibrating.astigmatism_picture import astigmatism_picture
from locstream.calibrating.beads import BOX_PX, find_beads, scan_bead
from locstream.calibrating.width_curves import crossing
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.errors import ConfigError

PLANES = np.arange(-700.0, 701.0, 25.0)
BEADS = [(16.2, 15.7, 0.0), (18.4, 45.1, 60.0), (46.0, 16.5, -90.0), (44.6, 47.3, 30.0)]


def stack(seed: int = 0, **changes: object) -> np.ndarray:
    options = {"through": lens(), **changes}
    return bead_stack(BEADS, PLANES, np.random.default_rng(seed), **options)


def agree(found: AstigmatismCalibration, truth: AstigmatismCalibration, tolerance_px: float = 0.02) -> None:
    z = np.linspace(-350, 350, 71)
    np.testing.assert_allclose(found.sigma_x_px(z), truth.sigma_x_px(z), atol=tolerance_px)
    np.testing.assert_allclose(found.sigma_y_px(z), truth.sigma_y_px(z), atol=tolerance_px)


def test_the_lens_comes_back() -> None:
    measured = calibrate_astigmatism(stack(), 25.0, 100.0, "beads.tif")
    found = measured.calibration
    agree(found, lens())
    assert (found.beads, measured.found, found.planes, found.step_nm) == (4, 4, len(PLANES), 25.0)
    assert found.z_min_nm < -350
    assert found.z_max_nm > 350
    assert found.stack == "beads.tif"
    assert found.z_residual_nm < 8
    assert found.residual_px < 0.05
    assert found.sigma_x_px(0.0) == pytest.approx(float(found.sigma_y_px(0.0)), abs=2e-3)


def test_beads_at_their_own_depths_are_put_where_they_are() -> None:
    widths = calibrate_astigmatism(stack(), 25.0).widths
    stage = 25.0 * widths.plane + PLANES[0]
    depth = {int(k): float(np.mean((stage - 1000 * widths.z_um)[widths.bead == k])) for k in np.unique(widths.bead)}
    np.testing.assert_allclose(sorted(depth.values()), sorted(z for _, _, z in BEADS), atol=5)


def test_a_stack_taken_downwards_has_a_negative_step() -> None:
    agree(calibrate_astigmatism(stack()[::-1], -25.0).calibration, lens())


def test_a_lens_turned_by_a_quarter_changes_the_axes() -> None:
    found = calibrate_astigmatism(stack().transpose(0, 2, 1), 25.0).calibration
    turned = lens(variance_x_px2=lens().variance_y_px2, variance_y_px2=lens().variance_x_px2)
    agree(found, turned)


def elongation(through: AstigmatismCalibration) -> float:
    """Return how many times as long as broad a bead is in the focus of one axis, in the less astigmatic of the two."""
    z = np.linspace(-600, 600, 1201)
    x, y = through.sigma_x_px(z), through.sigma_y_px(z)
    return float(min((y / x)[np.argmin(x)], (x / y)[np.argmin(y)]))


def widest(through: AstigmatismCalibration) -> float:
    """Return the greatest width of a bead in a plane of the stack, px."""
    return float(max(through.sigma_x_px(PLANES).max(), through.sigma_y_px(PLANES).max()))


@settings(max_examples=8, deadline=None)
@given(
    focus=st.floats(0.15, 0.3),
    depth=st.floats(0.3, 0.5),
    sigma=st.floats(1.0, 1.6),
    a=st.floats(-0.1, 0.1),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_lens_comes_back_or_is_too_weak(focus: float, depth: float, sigma: float, a: float, seed: int) -> None:
    truth = lens(
        variance_x_px2=defocusing(sigma, -focus, depth, a, 0.02),
        variance_y_px2=defocusing(sigma, focus, depth, -a, 0.02),
    )
    assume(widest(truth) < 5.5)  # four beads that are broader fill the field, and nothing around them is dark
    beads = stack(seed, through=truth, photons=60_000)
    if elongation(truth) < 0.97 * MIN_ELONGATION:
        assert "not astigmatic" in refused(beads)
        return
    assume(elongation(truth) > 1.03 * MIN_ELONGATION)
    found = calibrate_astigmatism(beads, 25.0).calibration
    z = np.linspace(max(found.z_min_nm, -400) + 20, min(found.z_max_nm, 400) - 20, 50)
    np.testing.assert_allclose(found.sigma_x_px(z), truth.sigma_x_px(z), rtol=0.02)
    np.testing.assert_allclose(found.sigma_y_px(z), truth.sigma_y_px(z), rtol=0.02)


def test_one_bad_bead_does_not_bend_the_curves() -> None:
    rng = np.random.default_rng(2)
    good = stack(2)
    other = lens(variance_x_px2=defocusing(1.8, -0.2, 0.4), variance_y_px2=defocusing(1.7, 0.1, 0.5))
    good += bead_stack([(31.0, 31.0, 0.0)], PLANES, rng, through=other) - np.uint16(110)
    measured = calibrate_astigmatism(good, 25.0)
    assert (measured.found, measured.calibration.beads) == (5, 4)
    agree(measured.calibration, lens(), 0.03)


def test_a_dark_plane_does_not_matter() -> None:
    planes = stack(3)
    planes[25] = 110
    agree(calibrate_astigmatism(planes, 25.0).calibration, lens(), 0.03)


def test_the_error_left_out_is_that_of_depths_not_used() -> None:
    widths = calibrate_astigmatism(stack(4), 25.0).widths
    for parity in (0, 1):
        error = left_out_errors_nm(widths, 4, parity)
        assert 0.3 * len(widths.plane) < len(error) < 0.6 * len(widths.plane)
        assert np.sqrt(np.mean(error**2)) < 8


def test_beads_are_found_brightest_first_and_alone() -> None:
    rng = np.random.default_rng(5)
    through = lens()
    planes = bead_stack([(20.0, 20.0, 0.0)], PLANES, rng, through=through, photons=40_000).astype(int)
    for bead, photons in (((45.0, 45.0, 0.0), 20_000), ((45.0, 52.0, 0.0), 10_000), ((3.0, 50.0, 0.0), 20_000)):
        planes += bead_stack([bead], PLANES, rng, through=through, photons=photons).astype(int) - 110
    beads = find_beads(planes)
    assert [(b.row, b.column) for b in beads] == [(20, 20), (45, 45)], (
        "one beside it, and one at the edge, do not count"
    )


def test_the_scan_of_a_bead_crosses_once_and_knows_where() -> None:
    planes = stack()
    scan = scan_bead(planes, find_beads(planes)[0])
    found = crossing(scan)
    assert found is not None
    where, way = found
    assert way == 1
    assert any(abs(PLANES[0] + 25 * where - z) < 10 for _, _, z in BEADS)
    assert (np.diff(scan.plane) > 0).all()


def refused(planes: np.ndarray, step_nm: float = 25.0) -> str:
    with pytest.raises(ConfigError) as error:
        calibrate_astigmatism(planes, step_nm)
    return error.value.what


def test_round_beads_are_refused() -> None:
    no_lens = lens(variance_x_px2=defocusing(1.3, 0.0, 0.4), variance_y_px2=defocusing(1.3, 0.0, 0.4))
    assert "not astigmatic" in refused(stack(through=no_lens))


def test_beads_that_are_hardly_astigmatic_are_refused() -> None:
    weak = lens(variance_x_px2=defocusing(1.3, -0.03, 0.4), variance_y_px2=defocusing(1.3, 0.03, 0.4))
    what = refused(stack(through=weak, photons=60_000))
    assert "not astigmatic" in what
    assert "1.2 is the least" in what


def test_beads_that_never_cross_are_refused() -> None:
    wide = lens(variance_x_px2=defocusing(1.3, 0.0, 0.4), variance_y_px2=defocusing(1.9, 0.0, 0.5))
    assert "in no bead does the larger width change" in refused(stack(through=wide))


def test_half_a_range_is_refused() -> None:
    assert "not astigmatic" in refused(
        bead_stack(BEADS, PLANES[PLANES > 150], np.random.default_rng(0), through=lens())
    )


def test_too_few_planes_are_refused() -> None:
    assert "the stack has 9 planes; a calibration takes 10" in refused(stack()[20:29])


def test_too_coarse_steps_are_refused() -> None:
    coarse = np.arange(-1375.0, 1376.0, 250.0)
    one = bead_stack([(31.0, 31.0, 0.0)], coarse, np.random.default_rng(0), through=lens())
    assert "planes show the beads well enough" in refused(one, 250.0)


def test_a_stack_without_beads_is_refused() -> None:
    noise = np.random.default_rng(0).poisson(100, (30, 64, 64)).astype(np.uint16)
    assert "no bead was found" in refused(noise)
    assert "no bead was found" in refused(np.full((30, 64, 64), 100, np.uint16))


def test_frames_smaller_than_a_bead_are_refused() -> None:
    assert f"{BOX_PX} × {BOX_PX} px" in refused(np.zeros((30, 12, 40), np.uint16))


@pytest.mark.parametrize("step_nm", [0.0, float("nan"), float("inf"), 1e5])
def test_a_step_that_is_none_is_refused(step_nm: float) -> None:
    assert "the step between planes" in refused(stack(), step_nm)


def test_the_picture_shows_both_axes() -> None:
    picture = astigmatism_picture(calibrate_astigmatism(stack(), 25.0), "Perlen σ, 4 µm")
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    for colour in ((0x4F, 0xC3, 0xF7), (0xFF, 0xB7, 0x4D)):
        rows, columns = np.nonzero((picture == colour).all(axis=2))
        assert len(rows) > 1000
        assert np.ptp(columns) > 0.7 * picture.shape[1], "a curve goes across"
