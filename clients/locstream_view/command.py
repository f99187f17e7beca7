"""``locstream view``: the picture of a running acquisition, or of a finished file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stream.arguments import add_address_options, add_history, keys_of, seconds
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
        metavar="NAME | ADDRESS | FILE",
        help="an acquisition by its name, the address of a stream (tcp://…), a results file or the folder of a run, "
        "omero:Image:12 for the localizations attached to an image in OMERO "
        "(default: the newest acquisition on this computer, or the next one)",
    )
    add_address_options(parser)
    add_history(parser)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="show as it was saved: NAME_view.json")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="save the window as a picture, and end")
    parser.add_argument(
        "--after", type=seconds, default=5.0, metavar="S", help="how long the screenshot waits, s (%(default)g)"
    )
    parser.add_argument(
        "--size", type=_size, default="1280x800", metavar="WxH", help="size of the window, px (%(default)s)"
    )
    parser.add_argument(
        "--gl",
        choices=("auto", "on", "off"),
        default="auto",
        help="draw through OpenGL, by vispy: where a graphics card does it (auto), in software too (on), not (off); "
        "the picture is the same",
    )
    parser.add_argument(
        "--keep-rows",
        type=_rows,
        default=KEEP_ROWS,
        metavar="N",
        help="localizations that stay in memory for filters, deep zoom and regions, 68 bytes each; older ones stay in "
        "the picture (%(default)s)",
    )
    given = parser.parse_args(arguments)
    keys = keys_of(given.target, given)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise LocstreamError(
            f"the window needs {', '.join(missing)}, which is not installed",
            todo="pip install 'locstream[viewer]'; `locstream tail` and `locstream status` need no window",
        )
    target = target_of(given.target)
    if isinstance(target, LiveTarget):
        target = replace(target, control=given.control, history=given.history, keys=keys)
    with closing(Trial()) if given.gl != "off" else nullcontext() as trial:  # meanwhile Qt is loaded
        from locstream_view.window.application import Options, show  # only now: it needs Qt

        options = Options(
            settings=given.settings,
            screenshot=given.screenshot,
            after_s=given.after,
            size=given.size,
            gl=given.gl,
            keep_rows=given.keep_rows,
        )
        show(target, options, trial)
    return 0


def _rows(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of localizations, 1 or more")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) >= 640 and int(height) >= 400):
        raise LocstreamError(f"--size {text} is no size of a window", todo="for example 1280x800; 640x400 at least")
    return int(width), int(height)
