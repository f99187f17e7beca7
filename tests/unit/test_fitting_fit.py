"""`locstream.fit`: the rows of a plain loop, from any number of threads, read no further than needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import locstream
from locstream.errors import LocstreamError
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.fit import AHEAD, fit_frames
from locstream.localizations import LOCALIZATION

CAMERA = locstream.CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.0)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Return frames with as many molecules as their number says, modulo four."""
    rng = np.random.default_rng(8)
    rows, columns = np.mgrid[:32, :40]
    stack = np.empty((25, 32, 40), np.uint16)
    for t, frame in enumerate(stack):
        light = np.full((32, 40), 10.0)
        for k in range(t % 4):
            x, y = 8 + 8 * k + rng.uniform(-0.5, 0.5), 16 + rng.uniform(-4, 4)
            light += 120 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.3**2))
        frame[:] = np.rint(rng.poisson(light) / 0.5 + 100)
    return stack


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_the_rows_are_those_of_a_plain_loop_in_frame_order(frames: np.ndarray, threads: int | None) -> None:
    localizer = Localizer(CAMERA, 32, 40, FitOptions())
    expected = np.concatenate([localizer(frame, t) for t, frame in enumerate(frames)])
    table = locstream.fit(frames, CAMERA, threads=threads)
    assert table.dtype == LOCALIZATION
    np.testing.assert_array_equal(table, expected)
    assert len(np.unique(table["frame"])) > 10


def test_progress_counts_every_frame(frames: np.ndarray) -> None:
    seen: list[int] = []
    locstream.fit(frames, CAMERA, progress=seen.append)
    assert seen == list(range(1, 26))


def test_no_frames_give_no_rows() -> None:
    assert len(locstream.fit(np.zeros((0, 8, 8), np.uint16), CAMERA)) == 0


def test_frames_are_read_as_they_are_needed(frames: np.ndarray) -> None:
    read = 0

    def reading() -> Iterator[np.ndarray]:
        nonlocal read
        for frame in frames:
            read += 1
            yield frame

    tables = fit_frames(reading(), CAMERA, FitOptions(), threads=2)
    next(tables)
    assert read <= 2 * AHEAD + 1
    assert sum(1 for _ in tables) == 24


@pytest.mark.parametrize("bad", [np.zeros((2, 8, 8)), np.zeros((2, 3, 8, 8), np.uint16)], ids=["float", "4 axes"])
def test_what_is_no_stack_of_frames_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(LocstreamError):
        locstream.fit(bad, CAMERA)


def test_frames_of_another_shape_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(LocstreamError, match="32"):
        locstream.fit([frames[0], frames[1][:, :-1]], CAMERA, threads=1)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = locstream.fitt
    assert set(dir(locstream)) >= {"fit", "open_stack", "FitOptions", "CameraCalibration"}
