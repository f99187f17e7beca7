"""One frame in one call: room that grows, and nothing that is compiled once more for what means the same."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer, localizer
from locstream.fitting.frame import localize

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)


def frame_with(molecules: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return expose(light(scatter(molecules, 96, 96, rng), 96, 96, sigma=1.3, background=10), CAMERA, rng)


@pytest.mark.parametrize("room", [1, 7, 30])
def test_a_frame_with_more_peaks_than_there_is_room_loses_none(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    images = [frame_with(n, n) for n in (3, 60, 0, 20)]
    ample = Localizer(CAMERA, 96, 96, FitOptions())
    expected = [ample(image, k) for k, image in enumerate(images)]
    assert max(len(rows) for rows in expected) > 40
    monkeypatch.setattr(localizer, "FIRST_ROOM", room)
    tight = Localizer(CAMERA, 96, 96, FitOptions())
    for k, image in enumerate(images):
        np.testing.assert_array_equal(tight(image, k), expected[k])


def test_rows_are_not_overwritten_by_the_next_frame() -> None:
    localize_frame = Localizer(CAMERA, 96, 96, FitOptions())
    rows = localize_frame(frame_with(20, 1), 0)
    before = rows.copy()
    localize_frame(frame_with(30, 2), 1)
    np.testing.assert_array_equal(rows, before)
    rows["frame"] = 7  # and may be written to


def test_a_workplace_keeps_what_its_kernels_borrow() -> None:
    localize_frame = Localizer(CAMERA, 96, 96, FitOptions())
    image, camera = frame_with(20), localize_frame._noisier(0)
    expected, workplace = localize_frame(image, 0), camera.workplace
    borrowed = [weakref.ref(array) for array in (camera.sensor.variance, camera.find_peaks.matched.taps)]
    del localize_frame, camera
    gc.collect()
    assert all(array() is not None for array in borrowed)
    image.flags.writeable = False
    np.testing.assert_array_equal(localize(image, workplace, 0), expected)
    del workplace
    gc.collect()
    assert all(array() is None for array in borrowed)


def test_numbers_and_frames_of_other_types_are_compiled_once(tmp_path: Path) -> None:
    image = frame_with(20)
    path = tmp_path / "frames.npy"
    np.save(path, image)
    as_float = CameraCalibration(100.0, 100.0, 0.46, 1.6, saturation_adu=60_000)
    expected = Localizer(as_float, 96, 96, FitOptions())(image, 5)
    compiled = len(localize.signatures)
    as_int = CameraCalibration(100, 100, 0.46, 1.6, saturation_adu=60_000)
    wide = np.zeros((96, 200), np.uint16)
    wide[:, ::2][:, :96] = image
    for frame in (image, np.load(path, mmap_mode="r"), wide[:, ::2][:, :96]):
        rows = Localizer(as_int, 96, 96, FitOptions(threshold=5))(frame, np.int64(5))
        np.testing.assert_array_equal(rows, expected)
    assert len(localize.signatures) == compiled
