"""The camera's values in the unit in which the signal is Poisson distributed."""

from __future__ import annotations

import numpy as np
import pytest

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError
from locstream.fitting.sensor import sensor


def test_scalars_become_one_row() -> None:
    values = sensor(CameraCalibration(100.0, 100.0, 0.5, 2.0), 30, 20)
    for array in values:
        assert array.shape == (1, 20)
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert values.scale[0, 0] == np.float32(0.5)
    assert values.variance[0, 0] == pytest.approx(2.0**2 + 0.5**2 / 12)


def test_maps_keep_each_pixel() -> None:
    rng = np.random.default_rng(0)
    offset, noise = rng.uniform(90, 110, (2, 30, 20)).astype(np.float32)
    values = sensor(CameraCalibration(100.0, offset, 0.5, noise), 30, 20)
    np.testing.assert_array_equal(values.offset_adu, offset)
    np.testing.assert_allclose(values.variance, noise.astype(float) ** 2 + 0.5**2 / 12, rtol=1e-6)
    assert values.scale.shape == (30, 20)


def test_behind_an_em_register_a_count_varies_as_much_as_its_mean() -> None:
    rng = np.random.default_rng(1)
    camera = CameraCalibration(100.0, 500.0, 12.0, 50.0, em_gain=300.0)
    electrons = rng.gamma(rng.poisson(40, 200_000), 300.0) + rng.normal(0, 50, 200_000)
    adu = np.rint(electrons / 12 + 500)
    values = sensor(camera, 1, 1)
    counts = (adu - values.offset_adu[0, 0]) * values.scale[0, 0]
    assert counts.var() == pytest.approx(counts.mean() + values.variance[0, 0], rel=0.02)
    assert counts.mean() * camera.excess_noise_squared == pytest.approx(40, rel=0.01)


def test_maps_that_do_not_cover_the_frame_are_refused() -> None:
    small = np.full((16, 16), 100, np.float32)
    with pytest.raises(ConfigError, match="16 × 16 px, the frames need 32 × 32 px"):
        sensor(CameraCalibration(100.0, small), 32, 32)
