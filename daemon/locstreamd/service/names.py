"""Names that tell: what a template of the configuration makes of one run."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from locstream.bundle.files import RunFiles
from locstream.bundle.metadata import Metadata

LONGEST = 100
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}")
PLACE = re.compile(r"\{([^{}]*)\}")
PLACES = ("date", "time", "instrument", "sample", "study", "id")
TELLS_RUNS_APART = frozenset({"time", "id"})
ID_LENGTH = 8
LONGEST_PART = 30


class NewRun(NamedTuple):
    """A run that begins: its identifier, when, seconds since the epoch, and its files."""

    acquisition_id: str
    started_s: float
    files: RunFiles


def check_name(template: str) -> str:
    """Return a template of a name as it is.

    Raises
    ------
    ValueError
        It names a place that there is not, or what it makes could not begin a file's name.
    """
    for place in PLACE.findall(template):
        if place not in PLACES:
            raise ValueError(f"{{{place}}} is none of the places {', '.join(f'{{{name}}}' for name in PLACES)}")
    if not NAME.fullmatch(PLACE.sub("x", template)):
        raise ValueError(f"{template!r} cannot begin a file name; use letters, digits and . _ + -")
    return template


def tells_runs_apart(template: str) -> bool:
    """Say whether no two runs get the same name of a template."""
    return not TELLS_RUNS_APART.isdisjoint(PLACE.findall(template))


def name_of_run(template: str, when: datetime, camera: str, metadata: Metadata, acquisition_id: str) -> str:
    """Return what the name of a run is; what is not known is left out.

    Parameters
    ----------
    template
        One that `check_name` takes.
    when
        Of its start, local time.
    camera
        The instrument, where the metadata name no microscope.
    metadata
        What the user says of the experiment.
    acquisition_id
        Its first characters are ``{id}``.
    """
    known: Mapping[str, str] = {
        "date": f"{when:%Y%m%d}",
        "time": f"{when:%H%M%S}",
        "instrument": metadata.microscope or camera,
        "sample": metadata.sample.entity or metadata.sample.organism,
        "study": metadata.study,
        "id": acquisition_id[:ID_LENGTH],
    }
    filled = PLACE.sub(lambda found: _plain(known[found[1]]), template)
    # what was left out leaves no double dash behind
    name = re.sub(r"([._+-])[._+-]+", r"\1", filled).lstrip("._+-")[:LONGEST].rstrip("._-")
    return name or known["id"]


def new_run(folder: Path, template: str, camera: str, metadata: Metadata) -> NewRun:
    """Return a run that begins now.

    Parameters
    ----------
    folder
        Of its files; ``{name}`` in it is replaced.
    template, camera, metadata
        What its name is made of, see `name_of_run`.
    """
    acquisition_id, started_s = uuid.uuid4().hex, time.time()
    name = name_of_run(template, datetime.fromtimestamp(started_s).astimezone(), camera, metadata, acquisition_id)
    return NewRun(acquisition_id, started_s, RunFiles(Path(str(folder).replace("{name}", name)), name))


def folder_of_runs(folder: Path) -> Path:
    """Return the folder in which those lie that have ``{name}`` in their path; without it, the folder itself."""
    parts = folder.parts
    return Path(*parts[: next((n for n, part in enumerate(parts) if "{name}" in part), len(parts))])


def _plain(text: str) -> str:
    """Return what a file's name can hold of a text, on every system."""
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-.")[:LONGEST_PART].rstrip("-.")
