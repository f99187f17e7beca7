"""Which fits get a depth: those whose two widths lie on the calibrated curves, and within their range."""

from __future__ import annotations

import numpy as np
import pytest

from bead_stacks import lens
from fitting_frames import expose, integrated
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.depth import options_for_depth
from locstream.localizations import Localizations

SIZE = 48
CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6)
LENS = lens()
OPTIONS = options_for_depth(FitOptions(), LENS, 100.0)
AT_FOCUS_PX = float(LENS.sigma_x_px(0.0))


def localized(*shapes: tuple[float, float], photons: float = 20_000) -> Localizations:
    """Fit one molecule, or two that lie on each other, of these widths along x and y, px."""
    rng = np.random.default_rng(1)
    mean = np.full((SIZE, SIZE), 8.0)
    for offset, (sigma_x, sigma_y) in enumerate(shapes):
        centre = 23.7 + 2.2 * offset
        mean += photons * np.outer(integrated(23.2, sigma_y, 0, SIZE), integrated(centre, sigma_x, 0, SIZE))
    return Localizer(CAMERA, SIZE, SIZE, OPTIONS, LENS)(expose(mean, CAMERA, rng), 0)


def at(z_nm: float) -> tuple[float, float]:
    return float(LENS.sigma_x_px(z_nm)), float(LENS.sigma_y_px(z_nm))


@pytest.mark.parametrize("z_nm", [-500, -200, 0, 200, 500])
def test_a_molecule_in_the_range_has_its_depth(z_nm: float) -> None:
    (row,) = localized(at(z_nm))
    assert row["z_nm"] == pytest.approx(z_nm, abs=5 * float(row["z_uncertainty_nm"]))


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_round_image_of_another_width_is_not_in_focus(factor: float) -> None:
    """The nearest depth is 0 for all of them, with a bound of a few nm, and none of them is there."""
    assert len(localized((AT_FOCUS_PX * factor, AT_FOCUS_PX * factor))) == 0


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_lens_that_is_a_little_off_still_tells_depth(factor: float) -> None:
    (row,) = localized((AT_FOCUS_PX * factor, AT_FOCUS_PX * factor))
    assert abs(row["z_nm"]) < 40


def test_faint_molecules_are_judged_by_how_well_their_widths_are_known() -> None:
    """With 150 photons a width that is half as large as it should be may be chance."""
    faint = localized((AT_FOCUS_PX * 0.5, AT_FOCUS_PX * 0.5), photons=150)
    assert all(row["z_uncertainty_nm"] > 40 for row in faint)
    assert len(localized((AT_FOCUS_PX * 0.5, AT_FOCUS_PX * 0.5), photons=5_000)) == 0


def test_two_molecules_in_one_image_are_not_given_a_depth() -> None:
    assert len(localized((AT_FOCUS_PX, 2 * AT_FOCUS_PX), (AT_FOCUS_PX, 2 * AT_FOCUS_PX))) == 0
