"""What goes with the address of a stream is refused without one, by every command that watches; times are times."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from locstream.errors import LocstreamError
from locstream.stream.arguments import add_history, add_where, keys_of, seconds
from locstream.stream.keys import Keyring, Role
from locstream_watch import control, tail

COMMANDS = [
    control.status_command,
    control.start_command,
    control.stop_command,
    control.abort_command,
    tail.command,
]


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_where(parser, "ACQUISITION", None, "the newest here")
    add_history(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", [[], ["cell"], ["run/id.json"]])
def test_a_control_address_is_not_passed_over(command: Callable[[Sequence[str]], int], where: list[str]) -> None:
    with pytest.raises(LocstreamError, match="--control goes with the address of a stream") as caught:
        command([*where, "--control", "tcp://127.0.0.1:9"])
    assert "leave --control out" in caught.value.todo


def test_what_was_said_instead_of_an_address_is_named() -> None:
    with pytest.raises(LocstreamError, match=r"--history .* and 'cell' is none"):
        keys_of("cell", parsed("cell", "--history", "tcp://m:1"))
    with pytest.raises(LocstreamError, match=r"--history .* and none is given"):
        keys_of(None, parsed("--history", "tcp://m:1"))


def test_keys_are_read_where_there_is_an_address(tmp_path: Path) -> None:
    file = Keyring(tmp_path / "keys").create_client("office", Role.VIEW)
    address = "tcp://microscope:5577"
    given = parsed(address, "--keys", str(file), "--control", "tcp://m:1", "--history", "tcp://m:2")
    keys = keys_of(given.where, given)
    assert keys is not None
    assert keys.name == "office"
    assert keys_of(address, parsed(address)) is None


@pytest.mark.parametrize(("text", "found"), [("0", 0.0), ("2.5", 2.5)])
def test_a_time(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon", ""])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no time in seconds"):
        seconds(text)
