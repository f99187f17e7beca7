"""What holds of the estimate for any frames: it never raises, and it follows shifts and scales of the ADU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from camera_frames import sample
from locstream.calibrating.photon_transfer import estimate_from_frames
from locstream.calibration import CameraCalibration

SHAPES = st.tuples(st.integers(0, 12), st.integers(0, 40), st.integers(0, 40))
LEVELS = st.one_of(st.integers(0, 65535), st.integers(98, 103), st.sampled_from([0, 1, 65534, 65535]))


def checked(frames: np.ndarray) -> None:
    found = estimate_from_frames(frames)
    if found is not None:
        assert np.isfinite(found.offset_adu)
        assert 0 <= found.offset_adu <= 65535
        assert np.isfinite(found.gain_e_per_adu)
        assert found.gain_e_per_adu > 0


@given(hnp.arrays(np.uint16, SHAPES, elements=LEVELS))
def test_any_frames_give_a_possible_camera_or_none(frames: np.ndarray) -> None:
    checked(frames)


@settings(max_examples=60)
@given(st.integers(0, 2**32), SHAPES, st.sampled_from(["poisson", "sparse", "steps", "ramp", "noise"]))
def test_any_kind_of_noise_gives_a_possible_camera_or_none(seed: int, shape: tuple[int, int, int], kind: str) -> None:
    rng = np.random.default_rng(seed)
    if kind == "poisson":
        frames = rng.poisson(rng.uniform(0, 1000), shape)
    elif kind == "sparse":
        frames = np.where(rng.random(shape) < 0.02, rng.integers(0, 65536, shape), 100)
    elif kind == "steps":
        frames = np.broadcast_to(rng.integers(0, 65536, (shape[0], 1, 1)), shape)
    elif kind == "ramp":
        frames = np.broadcast_to(np.arange(shape[2]) * 100, shape)
    else:
        frames = rng.integers(0, 65536, shape)
    checked(frames.astype(np.uint16))


SAMPLE = sample(
    CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.0),
    10,
    size=96,
    contrast=6,
    emitters=10,
)


@settings(max_examples=20)
@given(st.integers(-30, 5000), st.integers(1, 8))
def test_the_estimate_follows_the_numbers_of_the_camera(shift: int, factor: int) -> None:
    """Another offset moves the offset; as many electrons in more ADU are a smaller gain."""
    before = estimate_from_frames(SAMPLE)
    after = estimate_from_frames((SAMPLE + np.int32(shift)).astype(np.uint16) * np.uint16(factor))
    assert before is not None
    assert after is not None
    assert before.measured
    assert after.measured
    assert after.gain_e_per_adu == pytest.approx(before.gain_e_per_adu / factor, rel=0.01)
    assert after.offset_adu == pytest.approx((before.offset_adu + shift) * factor, abs=0.3 * factor)
