"""Where the stack lies whose frames were fitted: told with the results, so that the frames are found again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from locstream.stacks.source import SourceInfo

STACK_FILE = "Stack file"
"""Key in `SourceInfo.details`: the stack's path."""
FROM_RESULTS = "Stack file, from the results"
"""Key in `SourceInfo.details`: its path from the folder of the results on."""


def with_stack_file(info: SourceInfo, stack: Path, folder: Path) -> SourceInfo:
    """Return what a stack says of itself, with where it lies.

    Parameters
    ----------
    info
        What it says of itself.
    stack
        Its file or folder.
    folder
        Folder of the results.
    """
    path = stack.absolute()
    place = {STACK_FILE: str(path), FROM_RESULTS: os.path.relpath(path, folder.absolute())}
    return replace(info, details={**info.details, **place})


def stack_file(details: Mapping[str, str], folder: Path) -> Path | None:
    """Return where a stack lies now; None where nothing is told of it.

    Parameters
    ----------
    details
        `SourceInfo.details`, as the results keep them.
    folder
        Where the results are now: where the stack is not where it was, it may have been moved together with them.
    """
    if STACK_FILE not in details:
        return None
    before = Path(details[STACK_FILE])
    beside = folder / details.get(FROM_RESULTS, before)
    return beside if beside.exists() and not before.exists() else before
