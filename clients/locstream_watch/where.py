"""How a program that watches is told what to watch."""

from __future__ import annotations

import argparse
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stream.keys import ClientKeys, read_client_keys


def add_where(parser: argparse.ArgumentParser, metavar: str, default: str | None, missing: str) -> None:
    """Add the arguments that say where an acquisition or a service is.

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
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="what `locstream keys new` made, for another computer"
    )
    parser.add_argument(
        "--control",
        metavar="ADDRESS",
        help="where requests are answered, for an address; with --keys the stream's port + 2 unless given",
    )


def keys_of(given: argparse.Namespace) -> ClientKeys | None:
    """Return the keys that were named.

    Raises
    ------
    LocstreamError
        The file cannot be read, or is open to others; what is to be watched is on this computer, where no keys are
        asked for.
    """
    if given.keys is None:
        return None
    if "://" not in (given.where or ""):
        raise LocstreamError(
            f"--keys goes with the address of a stream, and {given.where or 'the newest here'} is on this computer",
            todo="give the address, for example tcp://microscope:5577, or leave --keys out",
        )
    return read_client_keys(given.keys)
