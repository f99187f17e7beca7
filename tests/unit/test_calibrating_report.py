"""The words about a measured camera: right numbers, right units, and a sentence for what is wrong."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from locstream.calibrating.measured_camera import LightLevel, MeasuredCamera
from locstream.calibrating.report import report_lines, report_warnings

SHAPE = (10, 20)


def camera() -> MeasuredCamera:
    """Return a camera without faults, with round numbers."""
    gain = np.full(SHAPE, 0.5)
    return MeasuredCamera(
        offset_adu=np.full(SHAPE, 100.0),
        read_noise_e=np.full(SHAPE, 1.5),
        gain_e_per_adu=gain,
        gain_uncertainty_e_per_adu=0.01 * gain,
        dead=np.zeros(SHAPE, bool),
        unlit=0,
        em_gain=1.0,
        dark_frames=1000,
        offset_drift_adu=0.1,
        levels=(
            LightLevel(300, 100.0, 2.0, 0.0),
            LightLevel(300, 1000.0, 2.02, 0.0),
            LightLevel(200, 9000.0, 1.98, 0.0),
        ),
        scalar_gain_e_per_adu=0.5,
        gain_spread=0.02,
        gain_chance=0.04,
    )


def text(found: MeasuredCamera) -> dict[str, str]:
    return dict(report_lines(found))


def test_the_numbers_are_told_with_their_units() -> None:
    lines = text(camera())
    assert lines["offset"] == "100.00 ADU (median), 100.0 … 100.0 ADU (1 … 99 %)"
    assert lines["read noise"].startswith(
        "1.50 e⁻ (median), 1.50 … 1.50 e⁻ (1 … 99 %), 1.50 e⁻ rms; a pixel's is known to"
    )
    assert lines["hot pixels"] == "0 of 200 (0.00%) have above 4 × the median read noise"
    assert lines["gain"] == "0.5 e⁻/ADU; pixels differ by 2.0% (1 σ), a pixel's is known to 1.0% (4.0% by itself)"
    assert lines["linearity"] == "from 50 to 4,500 e⁻ the noise follows the light within 1.0%"
    assert lines["frames"] == "1,000 dark, 800 at 3 levels of light"
    assert "dead" not in lines


def test_a_camera_without_faults_gets_no_warning() -> None:
    assert report_warnings(camera()) == []


def test_hot_and_dead_pixels_are_counted_apart() -> None:
    noise, dead = camera().read_noise_e.copy(), camera().dead.copy()
    noise[0, :3], noise[5, 5], dead[5, 5] = 20, 4500, True
    lines = text(replace(camera(), read_noise_e=noise, dead=dead))
    assert lines["hot pixels"].startswith("3 of 200 (1.50%)")
    assert lines["dead"].startswith("1 of 200 do not respond")
    assert "4,500" not in lines["read noise"]
    rms = np.sqrt((3 * 20**2 + 196 * 1.5**2) / 199)
    assert f"{rms:.2f} e⁻ rms" in lines["read noise"]


def test_behind_an_em_register_photoelectrons_are_told_too() -> None:
    line = text(replace(camera(), em_gain=100.0, scalar_gain_e_per_adu=10.0, levels=(LightLevel(50, 1000, 20, 0),) * 3))
    assert "10 e⁻/ADU behind an EM gain of 100, 0.1 photoelectrons/ADU" in line["gain"]
    assert "from 100 to 100 e⁻" in line["linearity"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dark_frames": 100}, "100 dark frames tell a pixel's read noise to 7%"),
        (
            {"levels": (LightLevel(300, 100, 2.0, 0), LightLevel(300, 900, 1.6, 0))},
            r"noise over signal is 2 at 100 ADU, 1.6",
        ),
        ({"levels": (LightLevel(300, 100, 2.0, 0), LightLevel(300, 150, 2.0, 0))}, r"all levels lie within 50 … 75 e⁻"),
        (
            {"levels": (LightLevel(300, 100, 2.0, 0), LightLevel(300, 9000, 2.0, 0.03))},
            r"9,000 ADU the lamp flickers by 3.0%",
        ),
        ({"offset_drift_adu": 2.0}, "the offset drifted by 2.0 ADU"),
        ({"unlit": 30}, r"did not reach 30 pixels \(15.0%\)"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_each_fault_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    with_fault = replace(camera(), **change)
    found = report_warnings(with_fault)
    assert len(found) == 1
    assert re.search(sentence, found[0]), found[0]


def test_flicker_that_photon_noise_drowns_is_not_mentioned() -> None:
    """3 % of 50 electrons is far below their photon noise; 3 % of 4,500 is above it."""
    dim = replace(camera(), levels=(LightLevel(300, 10, 2.0, 0.03), LightLevel(300, 100, 2.0, 0.03)))
    assert report_warnings(dim) == []
