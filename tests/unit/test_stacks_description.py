"""What several descriptions of one stack say together."""

from __future__ import annotations

import pytest

from locstream.errors import StackError
from locstream.stacks.description import Description, count_disagreement, length_nm, number, time_ms, whole


def test_the_first_description_counts_and_the_second_fills_its_gaps() -> None:
    first = Description(
        dialect="A", camera="one", pixel_size_nm=100.0, roi_x=0, details={"k": "1", "only": "x"}, warnings=("first",)
    )
    second = Description(
        dialect="B",
        axes={"frames": 4},
        camera="two",
        serial="7",
        pixel_size_nm=200.0,
        exposure_ms=5.0,
        roi_x=9,
        roi_y=8,
        details={"k": "2", "more": "y"},
        warnings=("second",),
    )
    both = first.completed_by(second)
    assert (both.dialect, both.camera, both.serial, both.pixel_size_nm, both.exposure_ms) == ("A", "one", "7", 100, 5)
    assert (both.roi_x, both.roi_y) == (0, 8)
    assert both.axes == {"frames": 4}
    assert both.details == {"k": "1", "only": "x", "more": "y"}
    assert both.warnings == ("first", "second")


@pytest.mark.parametrize(
    ("axes", "announced"),
    [
        ({}, None),
        ({"frames": 1, "slices": 1}, 1),
        ({"frames": 500, "slices": 1, "channels": 1}, 500),
        ({"frames": 1, "slices": 500}, 500),
        ({"channels": 500}, 500),
    ],
)
def test_one_long_axis_is_time_whatever_its_name(axes: dict[str, int], announced: int | None) -> None:
    assert Description(axes=axes).announced_frames("a.tif") == announced


def test_two_long_axes_are_refused_with_their_lengths() -> None:
    with pytest.raises(StackError, match=r"a.tif holds 3 slices × 50 frames") as refusal:
        Description(axes={"slices": 3, "frames": 50, "channels": 1}).announced_frames("a.tif")
    assert "Duplicate" in refusal.value.todo


def test_the_warnings_of_the_description_come_before_those_of_the_file() -> None:
    info = Description(dialect="A", warnings=("one",)).source_info(width=3, height=2, frames=1, warnings=("two",))
    assert info.warnings == ("one", "two")
    assert info.details == {"Format": "A"}
    assert (info.roi_x, info.roi_y, info.width, info.height, info.frames) == (0, 0, 3, 2, 1)


def test_lengths_and_times_that_no_microscope_has() -> None:
    assert length_nm(0.16, " µm ") == pytest.approx(160)
    assert length_nm(None, "nm") is None
    for value in (0.0, -1.0, 0.5, 10_001.0, float("nan"), float("inf")):
        assert length_nm(value, "nm") is None
    assert length_nm(100, "parsec") is None
    for value in (0.0, -1.0, float("nan"), float("inf")):
        assert time_ms(value, "s") is None
    assert time_ms(2, "min") == 120_000
    assert time_ms(2, "fortnight") is None


@pytest.mark.parametrize("value", [None, True, "", "nan", "inf", "1e999", "ten", [1], {}])
def test_what_is_no_number(value: object) -> None:
    assert number(value) is None
    assert whole(value) is None


def test_numbers_and_whole_numbers() -> None:
    assert number(" 1.5e-3 ") == 0.0015
    assert number(10**400) is None
    assert whole("12.0") == 12
    for value in (0, -3, 2.5, "0"):
        assert whole(value) is None


def test_a_stack_that_agrees_with_itself_needs_no_sentence() -> None:
    assert count_disagreement("a", announced=None, complete=5) == ()
    assert count_disagreement("a", announced=5, complete=5) == ()
