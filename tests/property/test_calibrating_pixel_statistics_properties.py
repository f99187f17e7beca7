"""Parity with numpy over all frames at once, for any frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from locstream.calibrating.pixel_statistics import PixelStatistics

STACKS = hnp.arrays(
    np.uint16,
    st.tuples(st.integers(2, 12), st.integers(1, 5), st.integers(1, 5)),
    elements=st.one_of(st.integers(0, 65535), st.integers(95, 105)),
)


@given(STACKS)
def test_it_equals_what_numpy_says_of_the_whole_stack(stack: np.ndarray) -> None:
    found = PixelStatistics("the stack", iter(stack))
    plain = stack.astype(np.float64)
    steps = np.diff(plain, axis=0)
    assert found.frames == len(stack)
    np.testing.assert_allclose(found.mean, plain.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.variance, plain.var(axis=0, ddof=1), rtol=1e-10, atol=1e-6)
    np.testing.assert_allclose(found.step_variance, np.mean(steps**2, axis=0) / 2, rtol=1e-13)
    np.testing.assert_allclose(found.frame_step_variance, np.mean(steps.mean(axis=(1, 2)) ** 2) / 2, rtol=1e-10)
    np.testing.assert_array_equal(found.highest, stack.max(axis=0))


@given(STACKS, st.integers(0, 65535))
def test_the_offset_of_a_camera_is_not_in_its_noise(stack: np.ndarray, level: int) -> None:
    low = stack // 2
    high = low + np.uint16(min(level, 65535 - int(low.max())))
    first, second = PixelStatistics("the stack", low), PixelStatistics("the stack", high)
    np.testing.assert_array_equal(first.variance, second.variance)
    np.testing.assert_array_equal(first.step_variance, second.step_variance)
