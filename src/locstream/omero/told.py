"""What OMERO.web shows of a run as key-value pairs, and the names that templates make, all from the bundle's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from locstream.bundle.bundle import Bundle
from locstream.bundle.metadata import Metadata
from locstream.bundle.summary import Summary
from locstream.errors import LocstreamError
from locstream.results.header import ResultsHeader
from locstream.results.reader import ResultsReader
from locstream.settings import what_is_wrong

LONGEST_NAME = 255
_FIT = ("model", "threshold", "psf_sigma_nm", "box_px", "background", "min_separation_px")


class RunFacts:
    """What is known of a run.

    Parameters
    ----------
    bundle
        The run.

    Raises
    ------
    LocstreamError
        Its summary or its results cannot be read.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        path = bundle.files.summary
        try:
            self.summary = Summary.model_validate_json(path.read_bytes())
        except OSError as error:
            raise LocstreamError(
                f"{path} cannot be read: {error.strerror or error}", todo="restore the file from a copy"
            ) from error
        except ValidationError as error:
            raise LocstreamError(
                f"{path} is no summary of a run: {'; '.join(what_is_wrong(error, Summary))}",
                todo="restore the file from a copy",
            ) from error
        with ResultsReader(bundle.files.results) as results:
            self.header: ResultsHeader = results.header
            self.rows = results.n_rows
        try:
            self.metadata = Metadata.model_validate(self.header.config.get("metadata", {}))
        except ValidationError:  # of another version: it is in the files as it was
            self.metadata = Metadata()

    def named(self, template: str) -> str:
        """Return what a template of the settings makes of this run; what is not known is left out."""
        started, told = self.summary.started.astimezone(), self.metadata
        places = {
            "name": self.bundle.files.name,
            "uuid": self.bundle.uuid,
            "date": f"{started:%Y-%m-%d}",
            "year": f"{started:%Y}",
            "title": told.title,
            "sample": told.sample.entity or told.sample.organism,
            "study": told.study,
            "instrument": told.microscope or self.summary.source.camera,
        }
        return " ".join(template.format_map(places).split())[:LONGEST_NAME] or self.bundle.files.name

    def pairs(self) -> dict[str, str]:
        """Return acquisition and fit as pairs for people, with units."""
        s, source, found, frames = self.summary, self.summary.source, self.summary.localizations, self.summary.frames
        known: Mapping[str, str | None] = {
            "Started": f"{s.started.astimezone():%Y-%m-%d %H:%M:%S %z}",
            "Outcome": s.outcome,
            "Camera": " ".join(text for text in (source.camera, source.serial) if text),
            "Frames": f"{frames.acquired:,}",
            "Frames dropped by the camera": f"{frames.camera_dropped:,}",
            "Field of view": f"{source.width_px} × {source.height_px} px",
            "Pixel size": f"{source.pixel_size_nm:g} nm",
            "Exposure": _with_unit(source.exposure_ms, "ms"),
            "Localizations": f"{found.total:,}",
            "Photons, median": _with_unit(found.photons_median, ""),
            "Precision, median": _with_unit(found.precision_nm_median, "nm"),
            **{f"Fit {name.replace('_', ' ')}": _text(self.header.fit.get(name)) for name in _FIT},
            **self.metadata.pairs(),
            "Licence": self.metadata.licence,
            "People": ", ".join(person.name for person in self.metadata.who),
            "Software": s.software,
            "Acquisition": self.bundle.uuid,
        }
        return {name: text for name, text in known.items() if text}


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.4g} {unit}".strip()


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
