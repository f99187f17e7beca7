"""``locstream verify``: are the files of a finished run as they were?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from locstream.bundle.verify import verify_folder
from locstream.errors import LocstreamError


def command(arguments: Sequence[str]) -> int:
    """Compare each file of a folder with its checksum, and name what is missing, altered or extra. Changes nothing."""
    parser = argparse.ArgumentParser(prog="locstream verify", description=command.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of a finished run")
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        raise LocstreamError(f"{folder} is not a folder", todo="give the folder that holds the run's files")
    found = verify_folder(folder, _show if sys.stdout.isatty() else lambda name: None)
    for fault in found.faults:
        print(fault, file=sys.stderr)
    print(f"{len(found.whole)} files are as they were" + (f", {len(found.faults)} faults" if found.faults else ""))
    return 1 if found.faults else 0


def _show(name: str) -> None:
    print(f"reading {name} …")
