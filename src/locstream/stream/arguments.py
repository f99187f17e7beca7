"""What the commands that watch are told alike: where an acquisition is, and how long to wait."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stream.keys import ClientKeys, read_client_keys

OF_AN_ADDRESS = ("keys", "control", "history")
"""Options that go with the address of a stream."""


def add_where(parser: argparse.ArgumentParser, metavar: str, default: str | None, missing: str) -> None:
    """Add the argument that says where an acquisition or a service is, and what goes with an address.

    Parameters
    ----------
    parser
        Of a command.
    metavar, default, missing
        How the place is called, what stands for it where it is not given, and how that is explained.
    """
    parser.add_argument(
        "where",
        nargs="?",
        metavar=metavar,
        default=default,
        help=f"name or id, connection file, or address of its stream: tcp://microscope:5577 (default: {missing})",
    )
    add_address_options(parser)


def add_address_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--keys`` and ``--control``."""
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="FILE",
        help="with an address: NAME.key.json, which `locstream keys new NAME` has made on the computer that acquires",
    )
    parser.add_argument(
        "--control",
        metavar="ADDRESS",
        help="with an address: where requests are answered (with --keys two ports after the stream's)",
    )


def add_history(parser: argparse.ArgumentParser) -> None:
    """Add ``--history``."""
    parser.add_argument(
        "--history",
        metavar="ADDRESS",
        help="with an address: where rows from before are given (with --keys one port after the stream's)",
    )


def keys_of(where: str | None, given: argparse.Namespace) -> ClientKeys | None:
    """Return the keys that were named.

    Parameters
    ----------
    where
        What is to be watched; None or "" where nothing was said.
    given
        All that was said.

    Raises
    ------
    LocstreamError
        The file cannot be read, or is open to others; something that goes with an address was given without one.
    """
    for name in OF_AN_ADDRESS:
        if getattr(given, name, None) is not None and "://" not in (where or ""):
            raise LocstreamError(
                f"--{name} goes with the address of a stream, and {f'{where!r} is none' if where else 'none is given'}",
                todo=f"give the address, for example tcp://microscope:5577, or leave --{name} out",
            )
    return None if given.keys is None else read_client_keys(given.keys)


def seconds(text: str) -> float:
    """Return a time, s: 0 or more, and not for ever; for argparse."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds")
    return found
