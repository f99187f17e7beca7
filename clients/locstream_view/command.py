"""``locstream view``: the picture of a running acquisition, or of a finished file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stream.keys import read_client_keys
from locstream_view.following.target import LiveTarget, target_of
from locstream_view.model.model import KEEP_ROWS
from locstream_view.window.opengl import Trial

NEEDED = ("PySide6",)


def command(arguments: Sequence[str]) -> int:
    """Show the picture of a running acquisition while it grows, or of a results file."""
    parser = argparse.ArgumentParser(prog="locstream view", description=command.__doc__)
    parser.add_argument(
        "target",
        nargs="?",
        default="",
        metavar="NAME | ENDPOINT | FILE",
        help="an acquisition by its name, the address of a stream (tcp://…), a results file or the folder of a run, "
        "omero:Image:12 for the localizations attached to an image in OMERO "
        "(default: the newest acquisition on this computer, or the next one)",
    )
    parser.add_argument(
        "--control", metavar="ENDPOINT", help="with an endpoint: where it is steered, and gives what came before"
    )
    parser.add_argument("--history", metavar="ENDPOINT", help="with an endpoint: where it gives what came before")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="for a server that asks for keys: NAME.key.json")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a view that was saved: NAME_view.json")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="save the window as a picture, and end")
    parser.add_argument(
        "--after", type=float, default=5.0, metavar="S", help="how long the screenshot waits, s (%(default)g)"
    )
    parser.add_argument("--size", default="1280x800", metavar="WxH", help="of the window, px (%(default)s)")
    parser.add_argument(
        "--gl",
        choices=("auto", "on", "off"),
        default="auto",
        help="draw through OpenGL, by vispy: where a graphics card does it (auto), in software too (on), not (off); "
        "the picture is the same",
    )
    parser.add_argument(
        "--keep-rows",
        type=int,
        default=KEEP_ROWS,
        metavar="N",
        help="localizations kept for filters and deep zoom, 68 bytes each (%(default)s)",
    )
    given = parser.parse_args(arguments)
    target = target_of(given.target)
    if isinstance(target, LiveTarget):
        keys = read_client_keys(given.keys) if given.keys is not None else None
        target = replace(target, control=given.control, history=given.history, keys=keys)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise LocstreamError(
            f"the window needs {', '.join(missing)}, which is not installed",
            todo="pip install 'locstream[viewer]'; `locstream tail` and `locstream status` need no window",
        )
    trial = Trial() if given.gl != "off" else None  # meanwhile the libraries of the window are loaded
    from locstream_view.window.application import Options, show  # only now: it needs Qt

    options = Options(
        settings=given.settings,
        screenshot=given.screenshot,
        after_s=given.after,
        size=_size(given.size),
        gl=given.gl,
        keep_rows=given.keep_rows,
    )
    return show(target, options, trial)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 640 and int(height) >= 400):
        raise LocstreamError(f"--size {text} is no size of a window", todo="for example 1280x800; 640x400 at least")
    return int(width), int(height)
