"""A socket is read a bounded part at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from locstream.stream.arrivals import MOST, arrived


@pytest.fixture
def pair() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.bind("inproc://here")
        pull.connect("inproc://here")
        yield push, pull


def test_nothing_waits(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    assert list(arrived(pair[1])) == []


def test_messages_come_whole_and_in_order(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    for number in range(3):
        pair[0].send_multipart([bytes([number]), b"rows"])
    assert list(arrived(pair[1])) == [[bytes([number]), b"rows"] for number in range(3)]


def test_a_flood_is_taken_in_parts(pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
    for number in range(MOST + 7):
        pair[0].send_multipart([bytes([number])])
    assert len(list(arrived(pair[1]))) == MOST
    assert list(arrived(pair[1], most=3)) == [[bytes([n])] for n in range(MOST, MOST + 3)]
    assert len(list(arrived(pair[1]))) == 4
