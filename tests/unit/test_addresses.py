"""Which addresses may be listened on, and which of them other computers can reach."""

from __future__ import annotations

import pytest

from locstreamd.addresses import Address


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("tcp://127.0.0.1:5577", True),
        ("tcp://127.9.9.9:1", True),
        ("tcp://[::1]:65535", True),
        ("tcp://*:5577", False),
        ("tcp://0.0.0.0:5577", False),
        ("tcp://192.168.3.4:5577", False),
        ("tcp://[::]:5577", False),
        ("tcp://[fe80::1]:5577", False),
        ("tcp://[::ffff:192.168.3.4]:5577", False),
    ],
)
def test_an_address_is_what_was_written_and_knows_who_can_reach_it(text: str, loopback: bool) -> None:
    address = Address.parse(text)
    assert address.endpoint == text
    assert address.loopback is loopback


@pytest.mark.parametrize(
    "text",
    [
        "", "5577", "127.0.0.1:5577", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:0", "tcp://127.0.0.1:65536",
        "tcp://256.0.0.1:5577", "tcp://127.1:5577", "tcp://localhost:5577", "tcp://eth0:5577", "tcp://[::g]:5577",
        "tcp://[127.0.0.1:5577", "tcp://::1:5577", "tcp://*:*", "ipc:///tmp/x", "tcp://127.0.0.1:5577\n", "tcp://*:５",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_a_sentence_that_quotes_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address to listen on") as refusal:
        Address.parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "plain"), [("tcp://*:1", ""), ("tcp://[::1]:1", "::1"), ("tcp://127.0.0.1:1", "127.0.0.1")]
)
def test_its_host_as_the_operating_system_wants_it(text: str, plain: str) -> None:
    assert Address.parse(text).plain_host == plain


def test_the_ports_behind_it() -> None:
    assert Address.parse("tcp://*:5577").after(2).endpoint == "tcp://*:5579"
    assert Address("*", 65_533).after(2).port == 65_535
    with pytest.raises(ValueError, match="no room for 2 ports"):
        Address("*", 65_534).after(2)
