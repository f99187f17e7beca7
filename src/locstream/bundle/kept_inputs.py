"""Keeps beside the data what made them: the configuration in effect and the calibrations that were used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from locstream.bundle.files import RunFiles
from locstream.bundle.toml_text import toml_text
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.results.header import ResultsHeader


def keep_inputs(files: RunFiles, header: ResultsHeader, *, overwrite: bool = False) -> tuple[str, ...]:
    """Write NAME_config.toml and copies of the calibration files; return what the user must know.

    The whole camera calibration is in the results, whether its file is still there or not.

    Parameters
    ----------
    files
        Names of the run.
    header
        What the results say of it.
    overwrite
        Replace files of an earlier try.

    Raises
    ------
    LocstreamError
        A file exists already, or the disk refuses.
    """
    said = []
    try:
        with whole_file(files.config, overwrite=overwrite) as part:
            head = f"# The configuration of {header.name} in effect, written by {header.software}\n\n"
            part.write_text(head + toml_text(header.config), encoding="utf-8")
        if header.astigmatism:
            with whole_file(files.astigmatism, overwrite=overwrite) as part:
                part.write_text(json.dumps(header.astigmatism, indent=2) + "\n", encoding="utf-8")
        if header.calibration_file:
            said += _copy(Path(header.calibration_file), files.camera, overwrite=overwrite)
    except OSError as error:
        raise LocstreamError(
            f"configuration and calibration could not be kept in {files.folder}: {error.strerror or error}",
            safe="frames and localizations are as they were",
            todo=f"make room, then `locstream recover {files.folder}`",
        ) from error
    return tuple(said)


def _copy(source: Path, target: Path, *, overwrite: bool) -> list[str]:
    if not source.is_file():
        return [f"the camera calibration {source} is no longer there; the results keep what was used of it"]
    with whole_file(target, overwrite=overwrite) as part:
        shutil.copyfile(source, part)
    return []
