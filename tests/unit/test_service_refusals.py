"""What is told of those who were not let in: all are counted, and a line a minute is said."""

from __future__ import annotations

import time

import pytest

from locstream.stream.gate import Refusal
from locstreamd.service.refusals import TOLD_AT_ONCE, TOLD_EVERY_S, Refusals

EVE = Refusal("stream", "unknown key", "10.0.0.7")
PLAIN = Refusal("control", "handshake", "")
ANN = Refusal("control", "request", "ann")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_nothing_is_said_of_nothing(clock: list[float]) -> None:
    refusals = Refusals()
    assert refusals.take_sentence() == ""
    refusals.add({})
    assert refusals.take_sentence() == ""
    assert refusals.by_reason == {}


def test_the_first_is_told_at_once_and_the_next_a_minute_later(clock: list[float]) -> None:
    refusals = Refusals()
    refusals.add({EVE: 1})
    assert refusals.take_sentence() == "refused: stream by 10.0.0.7, with a key that is not admitted, once"
    refusals.add({PLAIN: 3, ANN: 1})
    clock[0] += TOLD_EVERY_S / 2
    assert refusals.take_sentence() == ""
    refusals.add({PLAIN: 4})
    clock[0] += TOLD_EVERY_S / 2
    assert refusals.take_sentence() == (
        "refused: control, without a key, or with the key of another server, 7 times; "
        "control by ann, for something that their role may not, once"
    )
    clock[0] += TOLD_EVERY_S
    assert refusals.take_sentence() == ""
    assert refusals.by_reason == {"unknown key": 1, "handshake": 7, "request": 1}


def test_the_most_frequent_are_named_and_the_others_counted(clock: list[float]) -> None:
    refusals = Refusals()
    refusals.add({EVE._replace(who=f"10.0.0.{number}"): 10 + number for number in range(TOLD_AT_ONCE + 3)})
    sentence = refusals.take_sentence()
    assert sentence.count(" by 10.0.0.") == TOLD_AT_ONCE
    assert f"10.0.0.{TOLD_AT_ONCE + 2}" in sentence
    assert sentence.endswith(f"; {10 + 11 + 12} others")


def test_a_reason_that_is_new_is_told_as_it_is(clock: list[float]) -> None:
    refusals = Refusals()
    refusals.add({Refusal("work", "another version", "node1"): 2})
    assert refusals.take_sentence() == "refused: work by node1, another version, 2 times"
