"""What a results file says of its acquisition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from locstream import __version__
from locstream.calibration import CameraCalibration
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import MAPS
from locstream.formats.picasso import Document, yaml_documents
from locstream.localizations import ORIGIN
from locstream.stacks.source import SourceInfo

FORMAT = 1
"""Version of what lies in the group `locstream`."""


class _Record(BaseModel):
    """Frozen, strict JSON; a key that only a later version knows is passed over when a file is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)


class CalibrationSummary(_Record):
    """The camera calibration in a few numbers; a map of values per pixel is given by its median."""

    offset_adu: float
    """Level without light, ADU."""
    gain_e_per_adu: float
    """Electrons per ADU after the EM register."""
    read_noise_e: float
    """Read noise, electrons rms, before division by the EM gain."""
    em_gain: float
    """Gain of the electron-multiplying register, 1 for none."""
    quantum_efficiency: float
    """Photoelectrons per photon."""
    excess_noise_squared: float
    """F² of the EM register, 1 for none."""
    maps: tuple[str, ...]
    """Which of the values were maps."""
    digest: str
    """SHA-256 of every value."""

    @classmethod
    def of(cls, calibration: CameraCalibration) -> Self:
        """Summarize a calibration."""
        return cls(
            em_gain=calibration.em_gain,
            quantum_efficiency=calibration.quantum_efficiency,
            excess_noise_squared=calibration.excess_noise_squared,
            maps=tuple(name for name in MAPS if np.ndim(getattr(calibration, name))),
            digest=calibration.digest(),
            **{name: float(np.median(getattr(calibration, name))) for name in MAPS},
        )


class ResultsHeader(_Record):
    """What is known of an acquisition before its first frame. Stored whole, as JSON, with the results."""

    acquisition_id: str = Field(min_length=1)
    """Identifies the acquisition everywhere: on the wire, in the results, beside the stack."""
    name: str
    """The name the user gave it."""
    height: int = Field(ge=1)
    """Rows of a frame, px."""
    width: int = Field(ge=1)
    """Columns of a frame, px."""
    pixel_size_nm: float = Field(gt=0)
    """Edge of a camera pixel in the sample plane, nm."""
    started_s: float
    """Start, seconds since the epoch (UTC)."""
    software: str = f"locstream {__version__}"
    """The program that wrote the file, with its version."""
    camera: str = ""
    """Name of the camera, "" where unknown."""
    serial: str = ""
    """Its serial number, "" where unknown."""
    frames_expected: int | None = None
    """Number of frames to come, None where open-ended."""
    exposure_ms: float | None = None
    """Exposure time, ms."""
    interval_ms: float | None = None
    """Time from frame to frame, ms."""
    bit_depth: int | None = None
    """Bits of the camera's converter."""
    roi_x: int = 0
    """Column of the first pixel on the sensor, from 0."""
    roi_y: int = 0
    """Row of the first pixel on the sensor, from 0."""
    source: dict[str, str] = Field(default_factory=dict)
    """Anything else the source said of itself."""
    calibration: CalibrationSummary | None = None
    """The camera calibration that the fit used."""
    calibration_file: str = ""
    """The file of stored camera calibrations that it was read from, "" where there is none."""
    depth: bool = False
    """Whether the table has depth: the columns z and lpz, nm."""
    astigmatism: dict[str, JsonValue] = Field(default_factory=dict)
    """The astigmatism calibration that gave it."""
    lanes: int = 0
    """Molecules that are fitted side by side on the computer that wrote the file, 0 where unknown."""
    fit: dict[str, JsonValue] = Field(default_factory=dict)
    """The fit options that were in effect."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """The whole configuration that was in effect."""

    @classmethod
    def from_source(
        cls,
        info: SourceInfo,
        calibration: CameraCalibration,
        *,
        acquisition_id: str,
        name: str,
        started_s: float,
        calibration_file: Path | None = None,
        astigmatism: AstigmatismCalibration | None = None,
        lanes: int = 0,
        fit: Mapping[str, JsonValue] | None = None,
        config: Mapping[str, JsonValue] | None = None,
    ) -> Self:
        """Fill a header with what a source and a calibration say. The pixel size is the calibration's.

        Parameters
        ----------
        info
            What the source says of itself.
        calibration
            The calibration that the fit uses.
        acquisition_id, name
            Identifier and the user's name of the acquisition.
        started_s
            Start, seconds since the epoch (UTC).
        calibration_file
            The stored calibration that the camera's was read from; None where there is none.
        astigmatism
            What gives every row its depth; None for a table without.
        lanes
            Molecules that are fitted side by side on this computer; 0 where unknown.
        fit, config
            The fit options and the whole configuration in effect, as JSON can hold them.
        """
        return cls(
            acquisition_id=acquisition_id,
            name=name,
            height=info.height,
            width=info.width,
            pixel_size_nm=calibration.pixel_size_nm,
            started_s=started_s,
            camera=info.camera,
            serial=info.serial,
            frames_expected=info.frames,
            exposure_ms=info.exposure_ms,
            interval_ms=info.interval_ms,
            bit_depth=info.bit_depth,
            roi_x=info.roi_x,
            roi_y=info.roi_y,
            source=dict(info.details),
            calibration=CalibrationSummary.of(calibration),
            calibration_file="" if calibration_file is None else str(calibration_file),
            depth=astigmatism is not None,
            lanes=lanes,
            astigmatism={} if astigmatism is None else astigmatism.model_dump(mode="json"),
            fit=dict(fit or {}),
            config=dict(config or {}),
        )

    def documents(self, frames: int, summary: Mapping[str, Any] | None = None) -> list[Document]:
        """Return Picasso's metadata, with everything of ours under one key.

        Parameters
        ----------
        frames
            Number of frames so far.
        summary
            What was learned by the end: the ledger, why it stopped.
        """
        ours: Document = {"format": FORMAT, "origin": ORIGIN, "first_frame": 0, "header": self.as_dict()}
        if summary:
            ours["summary"] = dict(summary)
        return yaml_documents(
            width=self.width,
            height=self.height,
            frames=frames,
            pixel_size_nm=self.pixel_size_nm,
            generated_by=self.software,
            camera=self.camera,
            extra={"locstream": ours},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the header as plain JSON values."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain

    def pyme(self) -> dict[str, dict[str, float | int | str]]:
        """Return the metadata that PYME (python-microscopy) knows, as groups of attributes.

        Lengths are in µm and times in s there; ``ROIOrigin`` counts from 0 and ``ROIPos`` from 1.
        """
        pixel_um = self.pixel_size_nm / 1000
        camera: dict[str, float | int | str] = {
            "ROIOriginX": self.roi_x,
            "ROIOriginY": self.roi_y,
            "ROIPosX": self.roi_x + 1,
            "ROIPosY": self.roi_y + 1,
            "ROIWidth": self.width,
            "ROIHeight": self.height,
        }
        if self.camera:
            camera["Name"] = self.camera
        if self.exposure_ms is not None:
            camera["IntegrationTime"] = self.exposure_ms / 1000
        if self.interval_ms is not None:
            camera["CycleTime"] = self.interval_ms / 1000
        if (known := self.calibration) is not None:
            camera |= {
                "ADOffset": known.offset_adu,
                "ElectronsPerCount": known.gain_e_per_adu,
                "ReadNoise": known.read_noise_e,
                "NoiseFactor": known.excess_noise_squared**0.5,
                "TrueEMGain": known.em_gain,
            }
        return {
            "": {"StartTime": self.started_s},
            "voxelsize": {"x": pixel_um, "y": pixel_um, "units": "um"},
            "Camera": camera,
        }
