"""Mean and noise over frames that are seen once: exact, whatever their number and size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from locstream.calibrating.pixel_statistics import PixelStatistics
from locstream.errors import ConfigError


def test_a_slow_lamp_is_in_the_variance_and_not_in_the_steps() -> None:
    rng = np.random.default_rng(1)
    frames = [(1000 + 2 * t + rng.normal(0, 5, (40, 40))).astype(np.uint16) for t in range(200)]
    found = PixelStatistics("the stack", frames)
    assert np.median(found.variance) > 1000
    assert np.median(found.step_variance) == pytest.approx(25 + 2**2 / 2, rel=0.1)


def test_flicker_is_the_noise_of_whole_frames() -> None:
    rng = np.random.default_rng(1)
    flickering = [np.rint(1000 + rng.normal(0, 30) + rng.normal(0, 5, (40, 40))).astype(np.uint16) for t in range(400)]
    steady = [np.rint(1000 + rng.normal(0, 5, (40, 40))).astype(np.uint16) for _ in range(400)]
    assert PixelStatistics("the stack", flickering).frame_step_variance == pytest.approx(30**2, rel=0.2)
    assert PixelStatistics("the stack", steady).frame_step_variance == pytest.approx(5**2 / 1600, rel=0.3)


def test_the_largest_values_for_a_long_time_are_still_exact() -> None:
    """Sums of squares of 16-bit numbers leave the range in which floating-point numbers are whole."""
    frames = [np.array([[0, 65535, 65535]], np.uint16), np.array([[65535, 65535, 65534]], np.uint16)] * 5000
    found = PixelStatistics("the stack", frames)
    np.testing.assert_allclose(found.mean, [[32767.5, 65535, 65534.5]], rtol=1e-15)
    np.testing.assert_allclose(found.variance, np.var(np.array(frames, float), axis=0, ddof=1), rtol=1e-12)
    assert found.highest.tolist() == [[65535, 65535, 65535]]


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    def frames(count: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        for _ in range(count):
            yield rng.integers(90, 110, (200, 200), np.uint16)

    def peak(count: int) -> int:
        tracemalloc.start()
        PixelStatistics("the stack", frames(count))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(60) < 1.2 * peak(6)


def test_frames_of_two_shapes_are_refused() -> None:
    frames = [np.zeros((3, 5), np.uint16), np.zeros((3, 5), np.uint16), np.zeros((5, 3), np.uint16)]
    with pytest.raises(ConfigError, match="light stack 2: frame 2 has 3 × 5 px, the first has 5 × 3 px"):
        PixelStatistics("light stack 2", frames)


@pytest.mark.parametrize("count", [0, 1])
def test_one_frame_has_no_noise(count: int) -> None:
    with pytest.raises(ConfigError, match=f"the dark stack holds {count} frames"):
        PixelStatistics("the dark stack", [np.zeros((2, 2), np.uint16)] * count)


def test_the_frames_are_not_changed_and_may_be_reused() -> None:
    """A reader may hand out one buffer again and again."""
    rng = np.random.default_rng(1)
    originals = rng.integers(0, 65536, (20, 4, 5), np.uint16)
    buffer = np.empty((4, 5), np.uint16)

    def reused() -> Iterator[np.ndarray]:
        for original in originals:
            buffer[:] = original
            yield buffer

    found = PixelStatistics("the stack", reused())
    np.testing.assert_allclose(found.mean, originals.mean(axis=0))
    np.testing.assert_array_equal(found.highest, originals.max(axis=0))
    np.testing.assert_array_equal(buffer, originals[-1])
