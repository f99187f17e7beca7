"""What holds of every calibration: cutting and converting commute, and what is bad is refused, never used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from locstream.calibration import CameraCalibration
from locstream.calibration.file import Region
from locstream.errors import ConfigError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def maps(shape: tuple[int, int], low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, shape, elements=st.floats(low, high, width=32))


@st.composite
def cameras(draw: st.DrawFn) -> tuple[CameraCalibration, tuple[int, int]]:
    """Return a calibration with some values as maps, and the shape of the sensor."""
    shape = draw(SHAPES)

    def value(low: float, high: float) -> float | np.ndarray:
        return draw(st.floats(low, high, width=32) | maps(shape, low, high))

    return CameraCalibration(
        pixel_size_nm=draw(st.floats(1, 10_000)),
        offset_adu=value(-100, 1000),
        gain_e_per_adu=value(0.125, 64),
        read_noise_e=value(0, 100),
        em_gain=draw(st.just(1.0) | st.floats(1, 1000)),
        quantum_efficiency=draw(st.floats(0.125, 1)),
    ), shape


@given(cameras(), st.data())
def test_cutting_and_converting_commute(drawn: tuple[CameraCalibration, tuple[int, int]], data: st.DataObject) -> None:
    camera, (rows, columns) = drawn
    y, x = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    height, width = data.draw(st.integers(1, rows - y)), data.draw(st.integers(1, columns - x))
    frame = data.draw(hnp.arrays(np.uint16, (rows, columns)))
    whole = camera.photoelectrons(frame)[y : y + height, x : x + width]
    part = camera.for_frames(height, width, x, y).photoelectrons(frame[y : y + height, x : x + width])
    np.testing.assert_array_equal(whole, part)


@given(cameras())
def test_a_pixel_at_its_offset_holds_no_photon_and_more_light_gives_more(
    drawn: tuple[CameraCalibration, tuple[int, int]],
) -> None:
    camera, shape = drawn
    dark = np.broadcast_to(np.asarray(camera.offset_adu, np.float32), shape)
    np.testing.assert_array_equal(camera.photoelectrons(dark), np.zeros(shape))
    assert np.all(camera.photoelectrons(dark + 8) > 0)


@given(cameras(), st.integers(1, 20), st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_region_is_cut_or_refused(
    drawn: tuple[CameraCalibration, tuple[int, int]], height: int, width: int, x: int, y: int
) -> None:
    camera, _ = drawn
    try:
        cut = camera.for_frames(height, width, x, y)
    except ConfigError:
        assert camera.map_shape is not None
        assert camera.map_shape[0] < y + height or camera.map_shape[1] < x + width
    else:
        assert cut.map_shape in (None, (height, width))
        assert cut.photoelectrons(np.full((height, width), 100, np.uint16)).shape == (height, width)


@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(width=32))))
def test_every_map_is_whole_or_refused(values: np.ndarray) -> None:
    if np.all(np.isfinite(values)):
        assert CameraCalibration(100.0, offset_adu=values).digest() == CameraCalibration(100.0, values.copy()).digest()
    else:
        with pytest.raises(ConfigError, match="not finite"):
            CameraCalibration(100.0, offset_adu=values)


@given(*(st.builds(Region, x=st.integers(0, 6), y=st.integers(0, 6), width=st.integers(1, 6), height=st.integers(1, 6))
         for _ in range(2)))  # fmt: skip
def test_a_region_covers_another_where_it_has_all_its_pixels(first: Region, second: Region) -> None:
    def pixels(region: Region) -> set[tuple[int, int]]:
        return {(x, y) for x in range(region.x, region.x + region.width)
                for y in range(region.y, region.y + region.height)}  # fmt: skip

    assert first.covers(second) == (pixels(second) <= pixels(first))
