"""The astigmatism calibration: its curves, its file, what it refuses, and what it makes of fit options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bead_stacks import defocusing, lens
from fitting_frames import expose, light, molecules
from locstream.calibration.astigmatism import AstigmatismCalibration, read_astigmatism
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.depth import depth_curves, options_for_depth
from locstream.fitting.fit import fit
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D

CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5)


def test_the_curves_are_those_of_the_paper() -> None:
    through = lens(variance_x_px2=defocusing(1.3, -0.2, 0.4, 0.1, -0.05))
    u = (0.37 + 0.2) / 0.4
    assert through.sigma_x_px(370.0) == pytest.approx(1.3 * np.sqrt(1 + u**2 + 0.1 * u**3 - 0.05 * u**4))
    assert through.sigma_y_px(200.0) == pytest.approx(1.3)
    assert through.sigma_x_px([0.0, 100.0]).shape == (2,)


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lens.json"
    path.write_text(lens(stack="beads.tif").model_dump_json(), "utf-8")
    assert read_astigmatism(path) == lens(stack="beads.tif").model_copy(update={"made": read_astigmatism(path).made})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"z_min_nm": 600.0}, "the range of z, 600 … 600 nm, is empty"),
        ({"variance_x_px2": (1.0, 0.0, -20.0)}, "the width along x is not above 0 px"),
        ({"variance_y_px2": (1.0,)}, "variance_y_px2"),
        ({"beads": 0}, "beads"),
        ({"format": 99}, "format"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"z_max_nm": float("nan")}, "empty"),
        ({"variance_x_px2": (1.0, 0.0, float("nan"))}, "width along x"),
        ({"typo": 1}, "typo"),
    ],
    ids=str,
)
def test_what_is_no_lens_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        lens(**changes)


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", "no json", '{"format": 1, "variance_x_px2": "x"}', "\x00\xff"])
def test_a_file_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "lens.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="not an astigmatism calibration") as refused:
        read_astigmatism(path)
    assert "locstream calibrate" in refused.value.todo


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json"):
        read_astigmatism(tmp_path / "absent.json")


def test_another_pixel_size_is_refused_and_an_unknown_one_taken() -> None:
    with pytest.raises(ConfigError, match="is for pixels of 100 nm, the frames have 130 nm"):
        depth_curves(lens(), 130.0)
    unknown = depth_curves(lens(pixel_size_nm=None), 130.0)
    assert unknown.sigma_x[0] == pytest.approx(1.3 * depth_curves(lens(), 100.0).sigma_x[0])


def test_a_model_without_a_width_of_each_axis_is_refused() -> None:
    with pytest.raises(ConfigError, match="model = 'fixed'"):
        Localizer(CAMERA, 32, 32, FitOptions(model="fixed"), lens())
    with pytest.raises(ConfigError, match="model = 'sigma'"):
        fit(np.zeros((1, 32, 32), np.uint16), CAMERA, FitOptions(model="sigma"), astigmatism=lens(), threads=1)


def test_what_the_user_does_not_set_follows_from_the_lens() -> None:
    options = options_for_depth(FitOptions(threshold=7.0), lens(), 100.0)
    assert options.model == "sigma_xy"
    assert options.threshold == 7.0
    assert options.psf_sigma_nm == pytest.approx(100 * float(lens().sigma_x_px(0.0)))
    assert options.box_px == 11
    assert options_for_depth(FitOptions(box_px=7, psf_sigma_nm=140.0), lens(), 100.0).box_px == 7
    wide = lens(variance_x_px2=defocusing(4, -0.2, 0.4), variance_y_px2=defocusing(4, 0.2, 0.4))
    assert options_for_depth(FitOptions(), wide, 100.0).box_px == 15


def test_rows_beyond_the_range_are_left_out() -> None:
    table = molecules([12.0, 36.0], [12.0, 12.0], [5000, 5000])
    mean = light(table, 24, 48, sigma=1.45, background=10)
    image = expose(mean, CAMERA, np.random.default_rng(0))
    everything = fit(image[None], CAMERA, astigmatism=lens(), threads=1)
    assert len(everything) == 2
    assert (np.abs(everything["z_nm"]) < 5 * everything["z_uncertainty_nm"]).all()
    nothing = fit(image[None], CAMERA, astigmatism=lens(z_min_nm=300.0), threads=1)
    assert nothing.dtype == LOCALIZATION_3D
    assert len(nothing) == 0


def test_a_table_without_depth_stays_as_it_was() -> None:
    dark = np.full((2, 32, 40), 110, np.uint16)
    assert fit(dark, CAMERA, threads=1).dtype == LOCALIZATION
    assert fit(dark, CAMERA, astigmatism=lens(), threads=1).dtype == LOCALIZATION_3D
    assert LOCALIZATION_3D.names[: len(LOCALIZATION.names)] == LOCALIZATION.names


def test_the_library_offers_it() -> None:
    import locstream

    assert locstream.AstigmatismCalibration is AstigmatismCalibration
    assert locstream.read_astigmatism is read_astigmatism
