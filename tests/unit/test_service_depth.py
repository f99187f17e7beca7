"""The astigmatism calibration that a configuration names: found, checked, and what follows from it for the fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bead_stacks import lens
from locstream.calibration.astigmatism import read_astigmatism
from locstream.errors import ConfigError
from locstream.fitting import FitOptions
from locstream.stacks.source import SourceInfo
from locstreamd.service.checks.camera import check_calibration
from locstreamd.service.checks.finding import Level
from locstreamd.service.config import Config
from locstreamd.service.depth import check_lens, fit_for
from locstreamd.service.load_config import load_config
from locstreamd.service.show_config import show_config


@pytest.fixture
def lens_file(tmp_path: Path) -> Path:
    path = tmp_path / "lens.json"
    path.write_text(lens().model_dump_json())
    return path


def config(tmp_path: Path, fit: str = "", **overrides: object) -> Config:
    path = tmp_path / "instrument.toml"
    path.write_text(f"[fit]\n{fit}\n")
    return load_config(path, {f"fit.{key}": value for key, value in overrides.items()}).config


def test_without_one_there_is_no_depth(tmp_path: Path) -> None:
    asked = config(tmp_path, 'threshold = 6.0\nmodel = "sigma_xy"')
    fit = fit_for(asked, 100.0)
    assert fit == (asked, FitOptions(threshold=6.0, model="sigma_xy"), None)


def test_what_is_not_set_follows_from_the_lens(tmp_path: Path, lens_file: Path) -> None:
    fit = fit_for(config(tmp_path, 'astigmatism = "lens.json"\nthreshold = 6.0'), 100.0)
    assert fit.astigmatism == read_astigmatism(lens_file)
    assert (fit.options.model, fit.options.box_px, fit.options.threshold) == ("sigma_xy", 11, 6.0)
    assert fit.options.psf_sigma_nm == pytest.approx(145, abs=1)
    assert fit.config.fit.options == fit.options, "the configuration that is filed is the one in effect"
    assert fit.config.fit.astigmatism == lens_file


def test_what_is_set_stays(tmp_path: Path, lens_file: Path) -> None:
    fit = fit_for(config(tmp_path, 'astigmatism = "lens.json"\nbox_px = 13\nmodel = "sigma_xy"'), 100.0)
    assert (fit.options.box_px, fit.options.model) == (13, "sigma_xy")


def test_a_path_in_the_file_counts_from_the_file_and_the_command_line_wins(tmp_path: Path, lens_file: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert config(tmp_path, 'astigmatism = "sub/../lens.json"').fit.astigmatism == tmp_path / "sub/../lens.json"
    assert config(tmp_path, 'astigmatism = "other.json"', astigmatism=str(lens_file)).fit.astigmatism == lens_file


@pytest.mark.parametrize("model", ["sigma", "fixed"])
def test_a_model_without_a_width_of_each_axis_is_refused_at_once(tmp_path: Path, model: str) -> None:
    with pytest.raises(ConfigError, match=f'fit: model = "{model}" gives no width of each axis'):
        config(tmp_path, f'astigmatism = "lens.json"\nmodel = "{model}"')


@pytest.mark.parametrize("content", [None, "", "{}", '{"z_min_nm": 3}', "[fit]\n"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "lens.json").write_text(content)
    with pytest.raises(ConfigError, match="is not an astigmatism calibration of locstream"):
        fit_for(config(tmp_path, 'astigmatism = "lens.json"'), 100.0)


def test_pixels_of_another_size_are_refused(tmp_path: Path, lens_file: Path) -> None:
    with pytest.raises(ConfigError, match="for pixels of 100 nm, the frames have 130 nm"):
        fit_for(config(tmp_path, 'astigmatism = "lens.json"'), 130.0)


def test_the_configuration_shown_with_it_can_be_loaded_again(tmp_path: Path, lens_file: Path) -> None:
    asked = load_config(None, {"fit.astigmatism": str(lens_file), "fit.box_px": 13})
    path = tmp_path / "shown.toml"
    path.write_text(show_config(asked))
    assert "# psf_sigma_nm follows from astigmatism" in path.read_text()
    assert fit_for(load_config(path).config, 100.0).options == fit_for(asked.config, 100.0).options


def test_a_service_looks_at_the_file_when_it_starts(tmp_path: Path, lens_file: Path) -> None:
    check_lens(config(tmp_path))
    check_lens(config(tmp_path, 'astigmatism = "lens.json"'))
    with pytest.raises(ConfigError, match=r"other\.json is not an astigmatism calibration"):
        check_lens(config(tmp_path, 'astigmatism = "other.json"'))


@pytest.mark.parametrize(("pixel_size_nm", "level"), [(100.0, Level.OK), (130.0, Level.PROBLEM)])
def test_the_doctor_sees_whether_the_lens_goes_with_the_camera(
    tmp_path: Path, lens_file: Path, pixel_size_nm: float, level: Level
) -> None:
    camera = {"camera": [{"pixel_size_nm": pixel_size_nm, "offset_adu": 100.0, "gain_e_per_adu": 0.5}]}
    asked = Config.model_validate({**camera, "fit": {"astigmatism": lens_file}})
    finding = check_calibration(asked, SourceInfo("Prime", width=64, height=64), None)
    assert finding.level is level
    assert ("an astigmatic lens gives depth" in finding.found) == (level is Level.OK)
