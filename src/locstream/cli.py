"""The one command `locstream`: its verbs come from entry points, so that no floor imports another for them."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from locstream import __version__
from locstream.errors import LocstreamError

Command = Callable[[Sequence[str]], int]
"""A verb: takes the arguments after it, returns the exit status."""

GROUP = "locstream.commands"


def verbs() -> dict[str, EntryPoint]:
    """Return the installed verbs by name."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def overview(known: Mapping[str, EntryPoint]) -> str:
    """Return a line a verb: what it does, in its own words. All are loaded for it, which takes a second or two."""
    lines = [f"  {name:<18}{_first_sentence(point.load())}" for name, point in known.items()]
    return "\n".join(["verbs:", *lines, "", "`locstream VERB --help` says more."])


def _first_sentence(command: Command) -> str:
    return (inspect.getdoc(command) or "").partition("\n\n")[0].replace("\n", " ").partition(". ")[0].rstrip(".")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; a user's error is one message on stderr and a status that is not zero."""
    known = verbs()
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    parser = argparse.ArgumentParser(
        prog="locstream",
        description="Single-molecule localization microscopy while the camera is still running.",
        epilog=overview(known) if arguments[:1] in (["-h"], ["--help"]) else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"locstream {__version__}")
    parser.add_argument("verb", choices=sorted(known), metavar="VERB", help="what to do")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="what the verb is told")
    parsed = parser.parse_args(arguments)
    try:
        command: Command = known[parsed.verb].load()
        return command(parsed.rest)
    except LocstreamError as error:
        print(f"locstream {parsed.verb}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has gone
        return 1
    except KeyboardInterrupt:
        print(f"locstream {parsed.verb}: interrupted", file=sys.stderr)
        return 130
