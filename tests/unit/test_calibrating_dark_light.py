"""Maps from dark and light frames of a simulated camera that is known to the pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest

from camera_frames import even_light, uneven_camera
from fitting_frames import expose
from locstream.calibrating.dark_light import calibrate_camera
from locstream.calibrating.measured_camera import MeasuredCamera
from locstream.calibration import CameraCalibration
from locstream.errors import ConfigError

LEVELS = (20.0, 100.0, 500.0, 2000.0, 8000.0)


def measured(
    camera: CameraCalibration,
    *,
    dark: int = 600,
    light: int = 300,
    levels: Sequence[float] = LEVELS,
    flicker: float = 0.0,
    drift: float = 0.0,
    em_gain: float = 1.0,
) -> MeasuredCamera:
    stacks = (even_light(camera, light, level, flicker=flicker, drift=drift) for level in levels)
    return calibrate_camera(even_light(camera, dark, 0), stacks, em_gain=em_gain)


def error(found: np.ndarray, true: object) -> np.ndarray:
    """Return the relative errors of a map, without pixels."""
    return (found / np.asarray(true) - 1).ravel()


@pytest.fixture(scope="module")
def camera() -> CameraCalibration:
    return uneven_camera(60, 80)


@pytest.fixture(scope="module")
def found(camera: CameraCalibration) -> MeasuredCamera:
    return measured(camera)


def test_every_map_is_right_within_the_uncertainty_it_claims(camera: CameraCalibration, found: MeasuredCamera) -> None:
    for value, uncertainty, true in (
        (found.offset_adu, found.offset_uncertainty_adu, camera.offset_adu),
        (found.read_noise_e, found.read_noise_uncertainty_e, camera.read_noise_e),
        (found.gain_e_per_adu, found.gain_uncertainty_e_per_adu, camera.gain_e_per_adu),
    ):
        pull = (value - true) / uncertainty
        assert 0.85 < np.std(pull) < 1.1
        assert abs(np.mean(pull)) < 0.1


def test_the_gain_of_the_whole_camera_is_right(camera: CameraCalibration, found: MeasuredCamera) -> None:
    assert found.scalar_gain_e_per_adu == pytest.approx(np.mean(camera.gain_e_per_adu), rel=0.005)
    assert found.gain_spread == pytest.approx(0.02, abs=0.01)
    assert found.nonlinearity < 0.02
    np.testing.assert_allclose(found.signals_e, LEVELS, rtol=0.02)
    assert [level.frames for level in found.levels] == [300] * 5


def test_hot_pixels_are_those_that_are_hot(camera: CameraCalibration, found: MeasuredCamera) -> None:
    truly = camera.read_noise_e > 4 * np.median(camera.read_noise_e)
    assert truly.sum() > 3
    np.testing.assert_array_equal(found.hot, truly)
    assert not found.dead.any()


@pytest.mark.parametrize("light", [50, 300, 1500])
def test_the_map_of_gains_is_never_worse_than_one_gain_for_all(light: int) -> None:
    """With few frames pixels take the gain of all, with many their own."""
    camera = uneven_camera(16, 16, gain_spread=0.03)
    found = measured(camera, light=light, levels=LEVELS[2:])
    of_map = np.std(error(found.gain_e_per_adu, camera.gain_e_per_adu))
    of_one = np.std(error(np.full((16, 16), found.scalar_gain_e_per_adu), camera.gain_e_per_adu))
    by_itself = found.gain_chance
    assert of_map < 1.05 * min(of_one, by_itself)
    if light == 1500:
        assert of_map < 0.8 * of_one


def test_alike_pixels_get_alike_gains() -> None:
    camera = uneven_camera(16, 16, gain_spread=0.0)
    found = measured(camera, light=100)
    assert found.gain_chance > 0.05
    assert np.std(error(found.gain_e_per_adu, 0.46)) < 0.03


@pytest.mark.parametrize(("flicker", "drift"), [(0.02, 0.0), (0.0, 0.3), (0.01, 0.1)])
def test_a_lamp_that_is_not_steady_does_not_change_the_gain(flicker: float, drift: float) -> None:
    """Uncorrected, 2 % of flicker would add more than three times the photon noise of 8,000 electrons."""
    camera = uneven_camera(16, 16)
    found = measured(camera, flicker=flicker, drift=drift)
    assert found.scalar_gain_e_per_adu == pytest.approx(np.mean(camera.gain_e_per_adu), rel=0.02)
    assert found.levels[-1].flicker == pytest.approx(flicker, abs=0.003)


def test_behind_an_em_register_the_slope_is_twice_the_gain() -> None:
    camera = uneven_camera(16, 16, em_gain=100.0)
    found = measured(camera, em_gain=100.0, levels=(5, 20, 80, 300))
    assert found.em_gain == 100
    assert found.scalar_gain_e_per_adu == pytest.approx(46, rel=0.03)
    assert np.median(found.read_noise_e) == pytest.approx(np.median(camera.read_noise_e), rel=0.05)
    np.testing.assert_allclose(found.signals_e, (5, 20, 80, 300), rtol=0.05)


def test_a_wrong_em_gain_leaves_the_photons_right() -> None:
    camera = uneven_camera(16, 16, em_gain=100.0)
    found = measured(camera, em_gain=200.0, levels=(5, 20, 80))
    adu = expose(np.full((16, 16), 100.0), camera, np.random.default_rng(1))
    twice = CameraCalibration(100.0, found.offset_adu, found.gain_e_per_adu, found.read_noise_e, em_gain=200.0)
    assert twice.photoelectrons(adu).mean() == pytest.approx(camera.photoelectrons(adu).mean(), rel=0.03)


def test_a_pixel_that_really_is_different_keeps_its_gain() -> None:
    """One of 400 pixels gives half as many ADU for an electron; the others are alike."""
    camera = uneven_camera(20, 20, gain_spread=0.0, hot=0.0)
    gain = np.array(camera.gain_e_per_adu)
    gain[3, 4] *= 2
    camera = CameraCalibration(100.0, camera.offset_adu, gain, camera.read_noise_e)
    found = measured(camera, dark=200, light=500, levels=(50, 500, 5000))
    assert found.gain_e_per_adu[3, 4] == pytest.approx(0.92, rel=0.15)


def test_a_gain_no_pixel_can_have_is_not_believed() -> None:
    """A pixel whose noise follows no light at all: it flips between two values."""
    camera = uneven_camera(20, 20, gain_spread=0.1)

    def flipping(photons: float, frames: int) -> Iterator[np.ndarray]:
        for t, image in enumerate(even_light(camera, frames, photons)):
            image[3, 4] = 200 + photons + 2000 * (t % 2 if photons else 0)
            yield image

    found = calibrate_camera(flipping(0, 200), (flipping(level, 100) for level in (50, 500, 5000)))
    assert found.gain_e_per_adu[3, 4] == pytest.approx(found.scalar_gain_e_per_adu)


def test_dead_pixels_are_given_more_noise_than_any_light() -> None:
    camera = uneven_camera(40, 40)
    shade = np.ones((40, 40))
    shade[7, 9] = 0
    found = calibrate_camera(
        even_light(camera, 200, 0), (even_light(camera, 100, level, shade=shade) for level in (50, 500, 5000))
    )
    assert list(zip(*np.nonzero(found.dead), strict=True)) == [(7, 9)]
    dim_last = calibrate_camera(
        even_light(camera, 200, 0), (even_light(camera, 100, level, shade=shade) for level in (5000, 500, 50))
    )
    np.testing.assert_array_equal(dim_last.dead, found.dead)
    assert dim_last.read_noise_e[7, 9] == pytest.approx(found.read_noise_e[7, 9])
    assert found.read_noise_e[7, 9] == pytest.approx(5000, rel=0.1)
    assert found.gain_e_per_adu[7, 9] == pytest.approx(found.scalar_gain_e_per_adu, rel=0.2)
    assert not found.hot[7, 9]


def test_a_corner_without_light_is_not_dead() -> None:
    camera = uneven_camera(20, 20)
    shade = np.ones((20, 20))
    shade[:4, :4] = 0
    found = calibrate_camera(
        even_light(camera, 200, 0), (even_light(camera, 100, level, shade=shade) for level in (50, 500, 5000))
    )
    assert not found.dead.any()
    assert found.unlit == 16
    np.testing.assert_allclose(found.gain_e_per_adu[:4, :4], found.scalar_gain_e_per_adu, rtol=0.1)
    assert np.all(found.read_noise_e[:4, :4] < 20)


def test_uneven_light_does_not_matter() -> None:
    camera = uneven_camera(20, 20)
    shade = np.linspace(0.4, 1.0, 20)
    found = calibrate_camera(
        even_light(camera, 300, 0), (even_light(camera, 200, level, shade=shade) for level in (50, 500, 5000))
    )
    assert found.scalar_gain_e_per_adu == pytest.approx(np.mean(camera.gain_e_per_adu), rel=0.01)
    dim, bright = (np.mean(error(found.gain_e_per_adu, camera.gain_e_per_adu).reshape(20, 20)[:, c]) for c in (0, 19))
    assert abs(dim - bright) < 0.02


def test_the_order_of_the_levels_does_not_matter() -> None:
    camera = uneven_camera(12, 12)

    def run(levels: Iterable[float]) -> MeasuredCamera:
        return calibrate_camera(even_light(camera, 150, 0), (even_light(camera, 60, level) for level in levels))

    up, down = run((30, 300, 3000)), run((3000, 30, 300))
    np.testing.assert_allclose(up.gain_e_per_adu, down.gain_e_per_adu, rtol=1e-12)
    assert up.levels == down.levels


def test_a_camera_that_bends_is_noticed() -> None:
    """Above 2,000 electrons this camera gives half as many ADU for an electron."""
    camera = uneven_camera(20, 20, gain_spread=0.0)

    def bent(photons: float) -> Iterator[np.ndarray]:
        for image in even_light(camera, 200, photons):
            above = np.maximum(image.astype(float) - 4400, 0)
            yield (image - np.rint(above / 2)).astype(np.uint16)

    found = calibrate_camera(even_light(camera, 200, 0), (bent(level) for level in (100, 500, 4000)))
    assert found.nonlinearity > 0.1


def test_a_drifting_offset_is_noticed() -> None:
    camera = uneven_camera(16, 16)
    drifting = ((image + np.uint16(t // 20)).astype(np.uint16) for t, image in enumerate(even_light(camera, 200, 0)))
    found = calibrate_camera(drifting, (even_light(camera, 60, level) for level in (50, 500, 5000)))
    assert found.offset_drift_adu == pytest.approx(np.std(np.arange(200) // 20), rel=0.15)
    assert measured(camera, dark=200, light=60).offset_drift_adu < 0.6


def test_the_frames_are_gone_through_once(camera: CameraCalibration) -> None:
    def once(photons: float, frames: int) -> Iterator[np.ndarray]:
        yield from even_light(camera, frames, photons)

    found = calibrate_camera(once(0, 100), (once(level, 50) for level in (50, 500, 5000)))
    assert (found.dark_frames, len(found.levels)) == (100, 3)


class TestRefusals:
    """What is missing or wrong is one sentence with the number that is wrong."""

    camera = uneven_camera(12, 12)

    def dark(self, frames: int = 100) -> Iterator[np.ndarray]:
        return even_light(self.camera, frames, 0)

    def light(self, *levels: float, frames: int = 50) -> Iterator[Iterator[np.ndarray]]:
        return (even_light(self.camera, frames, level) for level in levels)

    def test_few_dark_frames(self) -> None:
        with pytest.raises(ConfigError, match="the dark stack holds 99 frames; a calibration takes at least 100"):
            calibrate_camera(self.dark(99), self.light(50, 500, 5000))

    def test_few_light_frames(self) -> None:
        with pytest.raises(ConfigError, match="light stack 1 holds 49 frames; a calibration takes at least 50"):
            calibrate_camera(self.dark(), self.light(50, 500, 5000, frames=49))

    @pytest.mark.parametrize("levels", [(), (500,), (500, 5000)])
    def test_few_levels(self, levels: tuple[float, ...]) -> None:
        with pytest.raises(ConfigError, match=f"{len(levels)} light stacks were given; .* at least 3"):
            calibrate_camera(self.dark(), self.light(*levels))

    def test_light_no_brighter_than_the_dark(self) -> None:
        with pytest.raises(ConfigError, match="light stack 2 is hardly brighter than the dark"):
            calibrate_camera(self.dark(), self.light(500, 0, 5000))

    def test_light_and_dark_swapped(self) -> None:
        swapped = even_light(self.camera, 100, 1000)
        with pytest.raises(ConfigError, match="swapped"):
            calibrate_camera(swapped, self.light(0, 0, 0))

    def test_another_shape(self) -> None:
        other = even_light(uneven_camera(12, 13), 50, 100)
        with pytest.raises(ConfigError, match="light stack 1 has 13 × 12 px, the dark stack 12 × 12 px"):
            calibrate_camera(self.dark(), [other])

    def test_saturation_at_the_limit_of_the_converter(self) -> None:
        clipped = (np.minimum(image, 4095) for image in even_light(self.camera, 50, 1870))
        with pytest.raises(ConfigError, match=r"saturated: [\d.]+% of its pixels reach 4,095 ADU"):
            calibrate_camera(self.dark(), [clipped], saturation_adu=4095)

    def test_what_is_beyond_the_known_limit_is_saturated_too(self) -> None:
        """Some cameras wrap or go on in a bent way: what counts is the level that is given."""
        with pytest.raises(ConfigError, match=r"saturated: [\d.]+% of its pixels reach 4,000 ADU"):
            calibrate_camera(self.dark(), self.light(1900), saturation_adu=4000)

    def test_saturation_below_that_limit(self) -> None:
        """The well is full, or the amplifier at its end, before the converter is."""
        clipped = (np.minimum(image, 3000) for image in even_light(self.camera, 50, 1340))
        with pytest.raises(ConfigError, match=r"saturated: [\d.]+% of its pixels reach 3,000 ADU"):
            calibrate_camera(self.dark(), [clipped], saturation_adu=65535)

    def test_an_offset_so_low_that_noise_is_cut_off(self) -> None:
        low = CameraCalibration(100.0, np.full((12, 12), 2.0), np.full((12, 12), 0.46), np.full((12, 12), 1.6))
        with pytest.raises(ConfigError, match=r"cut off at 0 ADU in \d+"):
            calibrate_camera(even_light(low, 100, 0), self.light(50, 500, 5000))

    def test_a_few_pixels_that_saturate_do_not_count_in_that_level(self) -> None:
        """One pixel of 400 gets five times the light, up to the limit: its gain comes from the other levels."""
        camera = uneven_camera(20, 20, gain_spread=0.0)
        shade = np.ones((20, 20))
        shade[3, 4] = 5

        def limited(photons: float) -> Iterator[np.ndarray]:
            return (np.minimum(image, 4095) for image in even_light(camera, 400, photons, shade=shade))

        levels = (20, 100, 700)
        found = calibrate_camera(even_light(camera, 200, 0), map(limited, levels), saturation_adu=4095)
        assert found.gain_e_per_adu[3, 4] == pytest.approx(0.46, rel=0.15)

    def test_a_few_hot_pixels_that_saturate_are_no_reason(self) -> None:
        camera = uneven_camera(20, 20)

        def with_hot_pixel(photons: float, frames: int) -> Iterator[np.ndarray]:
            for image in even_light(camera, frames, photons):
                image[3, 4] = 65535
                yield image

        found = calibrate_camera(with_hot_pixel(0, 100), (with_hot_pixel(level, 50) for level in (50, 500, 5000)))
        for values in (found.offset_adu, found.gain_e_per_adu, found.read_noise_e, found.gain_uncertainty_e_per_adu):
            assert np.all(np.isfinite(values))
        assert found.dead.sum() == found.dead[3, 4] == 1
        assert found.gain_e_per_adu[3, 4] == pytest.approx(found.scalar_gain_e_per_adu)
        assert np.std(error(found.gain_e_per_adu, camera.gain_e_per_adu)) < 0.03
