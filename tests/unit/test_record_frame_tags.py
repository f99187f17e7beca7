"""Numbers that never come twice, and times that neither daylight saving nor a clock correction disturbs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from locstream.errors import SourceError
from locstreamd.record.frame_tags import FrameClock, FrameNumbers, epoch_s
from locstreamd.record.mmcore import Metadata


def tags(**given: object) -> Metadata:
    return Metadata({name.replace("_", "-"): str(value) for name, value in given.items()})


def elapsed(ms: float, **more: object) -> Metadata:
    return Metadata({"ElapsedTime-ms": str(ms), **{name: str(value) for name, value in more.items()}})


def test_the_cores_number_is_taken_as_it_is() -> None:
    numbers = FrameNumbers()
    assert [numbers.next(tags(ImageNumber=n)) for n in (2, 3, 7)] == [2, 3, 7]
    assert numbers.last == 7


def test_a_drivers_counter_begins_at_zero_wherever_it_stands() -> None:
    numbers = FrameNumbers("FrameNr")
    assert numbers.last == -1
    assert [numbers.next(tags(FrameNr=n, ImageNumber=0)) for n in (4_000_000_017, 4_000_000_018, 4_000_000_021)] == [
        0,
        1,
        4,
    ]


@pytest.mark.parametrize("again", [5, 4, 0])
def test_a_number_that_does_not_go_up_is_refused(again: int) -> None:
    numbers = FrameNumbers()
    numbers.next(tags(ImageNumber=5))
    with pytest.raises(SourceError, match=f"from frame 5 to frame {again}"):
        numbers.next(tags(ImageNumber=again))
    assert numbers.last == 5


@pytest.mark.parametrize("text", ["", "1.5", "0x10", "-3", "frame 7", "NaN"])
def test_what_is_not_a_count_is_refused_with_the_tags_there_are(text: str) -> None:
    numbers = FrameNumbers("FrameNr")
    with pytest.raises(SourceError, match="'FrameNr', by which frames are to be numbered, says") as raised:
        numbers.next(tags(FrameNr=text, Width=5))
    assert "FrameNr, Width" in raised.value.todo


def test_a_missing_tag_is_refused_with_the_tags_there_are() -> None:
    with pytest.raises(SourceError, match="is missing") as raised:
        FrameNumbers("FrameNr").next(tags(ImageNumber=1, Width=5))
    assert "ImageNumber, Width" in raised.value.todo


def test_the_first_frame_gives_the_wall_time_and_the_rest_what_has_elapsed() -> None:
    clock = FrameClock()
    now_s = time.time()
    first_s = clock.time_s(elapsed(86_400_000.25))
    assert first_s == pytest.approx(now_s, abs=5)
    assert clock.time_s(elapsed(86_400_010.25)) - first_s == pytest.approx(0.010, abs=1e-6)
    assert clock.time_s(elapsed(86_460_000.25, TimeReceivedByCore="1999-01-01 00:00:00")) - first_s == pytest.approx(60)


def test_the_wall_time_is_when_the_core_received_the_first_frame() -> None:
    received_s = time.time() - 3
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(received_s)) + f".{int(received_s % 1 * 1e6):06d}"
    assert FrameClock().time_s(elapsed(17, TimeReceivedByCore=local)) == pytest.approx(received_s, abs=1e-5)


@pytest.mark.parametrize("note", ["", "5,15", "soon"])
def test_a_note_that_is_no_number_is_like_none(note: str) -> None:
    assert FrameClock().time_s(Metadata({"ElapsedTime-ms": note})) == pytest.approx(time.time(), abs=5)
    clock = FrameClock()
    assert clock.time_s(elapsed(1000, TimeReceivedByCore=note)) == pytest.approx(time.time(), abs=5)
    assert clock.time_s(elapsed(3000)) == pytest.approx(time.time() + 2, abs=5)


def test_without_any_note_the_computers_clock_is_taken() -> None:
    assert FrameClock().time_s(tags(ImageNumber=0)) == pytest.approx(time.time(), abs=5)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-01-15 12:00:00.250000", "2026-01-15T11:00:00.25+00:00"),
        ("2026-07-15 12:00:00.250000", "2026-07-15T10:00:00.25+00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_local_time_becomes_utc_also_in_the_hour_that_comes_twice(local: str, utc: str) -> None:
    expected_s = float(np.datetime64(utc.removesuffix("+00:00"), "us").astype(np.int64)) / 1e6
    assert epoch_s(local, expected_s + 20) == pytest.approx(expected_s, abs=1e-6)
