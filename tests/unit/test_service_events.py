"""What happened is stored, bounded; the summary tells it in short."""

from __future__ import annotations

import time

import pytest

from locstreamd.record.restarts import CameraEvent
from locstreamd.service.events import KEPT_OF_A_KIND, TOLD_OF_THE_CAMERA, Chronicle, Event


@pytest.fixture
def stored() -> list[Event]:
    return []


@pytest.fixture
def chronicle(stored: list[Event]) -> Chronicle:
    return Chronicle(stored.append)


def test_the_first_events_of_a_kind_are_stored_and_the_others_counted(
    chronicle: Chronicle, stored: list[Event]
) -> None:
    for n in range(KEPT_OF_A_KIND + 40):
        chronicle.note("Load", f"{n} s behind", float(n))
    chronicle.note("Fault", "the cable came off", 7.0)
    chronicle.end()
    assert stored[:KEPT_OF_A_KIND] == [Event("Load", f"{n} s behind", float(n)) for n in range(KEPT_OF_A_KIND)]
    assert [event.name for event in stored[KEPT_OF_A_KIND:]] == ["Fault", "Load"]
    assert stored[-1].text == "40 more, 140 in all"
    assert chronicle.count("Load") == 140


def test_without_a_time_it_is_now(chronicle: Chronicle, stored: list[Event]) -> None:
    before = time.time()
    chronicle.note("Fault", "why")
    assert before <= stored[0].time_s <= time.time()


def test_the_camera_is_told_with_its_own_times_and_in_the_summary(chronicle: Chronicle, stored: list[Event]) -> None:
    chronicle.camera(
        [CameraEvent("CameraStopped", "it stopped", 5.0), CameraEvent("CameraRestarted", "it goes on", 6.0)]
    )
    assert stored == [Event("CameraStopped", "it stopped", 5.0), Event("CameraRestarted", "it goes on", 6.0)]
    assert chronicle.sentences() == [
        "the camera stopped unasked and was started again, once in all", "it stopped", "it goes on",
    ]  # fmt: skip


def test_the_summary_does_not_grow_with_the_restarts(chronicle: Chronicle) -> None:
    chronicle.camera(CameraEvent("CameraRestarted", f"{n}", float(n)) for n in range(1500))
    told = chronicle.sentences()
    assert told[0].endswith("1,500 times in all")
    assert told[1:] == [str(n) for n in range(1500 - TOLD_OF_THE_CAMERA, 1500)]


def test_every_death_is_an_event(chronicle: Chronicle, stored: list[Event]) -> None:
    for counts in ({"worker": 0, "recorder": 0}, {"worker": 2, "recorder": 0}, {"worker": 2, "recorder": 1}):
        chronicle.deaths(counts)
    assert [event.name for event in stored] == ["WorkerDied", "WorkerDied", "RecorderDied"]
    assert stored[-1].text == "a recorder died and another is started"


def test_the_first_frame_that_failed_is_in_the_summary_and_its_reason_with_all_in_the_events(
    chronicle: Chronicle, stored: list[Event]
) -> None:
    chronicle.failed(12, "no light")
    chronicle.failed(15, "too much light")
    assert [event.text for event in stored] == ["frame 12: no light", "frame 15: too much light"]
    assert chronicle.sentences() == ["the first frame that could not be fitted is frame 12: no light"]


def test_where_nothing_happened_nothing_is_told(chronicle: Chronicle, stored: list[Event]) -> None:
    chronicle.deaths({"worker": 0})
    chronicle.end()
    assert stored == chronicle.sentences() == []
