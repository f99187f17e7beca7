"""What is known of a recorded stack, as OME-XML (Goldberg et al., Genome Biology 6:R47, 2005)."""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from locstream import __version__
from locstream.stacks.experiment import Experiment
from locstream.stacks.ome_description import ANNOTATION_NAMESPACE, ROI_X_KEY, ROI_Y_KEY
from locstream.stacks.source import SourceInfo

MOST_PLANES = 10_000
"""Frames that get a Plane element of their own (about 100 bytes each); for the rest TimeIncrement stands."""

_YEAR_10000 = 253_402_300_800  # s since the epoch; no clock is right that says so
_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>'
_FORBIDDEN_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, eq=False)
class StackMetadata:
    """What is written into a finished stack.

    Parameters
    ----------
    source
        What the camera said of itself: shape, names, pixel size, exposure, interval, bits, region.
    name, description
        Title of the image and the user's own words.
    times_s
        Time of each page, seconds since the epoch (UTC), from the camera's clock where it has one.
    frame_numbers
        Frame number of each page, from 0; a number that is missing was dropped by the camera.
    offset_adu, gain_e_per_adu, read_noise_e, quantum_efficiency, em_gain
        The calibration as single numbers (the mean of a map): ADU, e⁻/ADU, e⁻ rms, photoelectrons
        per photon, factor. None where it is not known.
    experiment
        Who took the stack, and with which optics.
    annotations
        Anything else, as text.
    uuid
        Identifies the stack, also where its file is renamed.
    """

    source: SourceInfo
    name: str = ""
    description: str = ""
    times_s: Sequence[float] | npt.NDArray[np.float64] = ()
    frame_numbers: Sequence[int] | npt.NDArray[np.integer] = ()
    offset_adu: float | None = None
    gain_e_per_adu: float | None = None
    read_noise_e: float | None = None
    quantum_efficiency: float | None = None
    em_gain: float | None = None
    experiment: Experiment = field(default_factory=Experiment)
    annotations: Mapping[str, str] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))


def ome_xml(info: StackMetadata, pages: int) -> bytes:
    """Return the OME-XML (2016-06) of a stack of `pages` pages.

    Returns
    -------
    bytes
        ASCII, beginning with the XML declaration, by which some readers recognise it.
    """
    root = ET.Element(
        "OME",
        {
            "xmlns": _OME,
            "xmlns:xsi": _XSI,
            "xsi:schemaLocation": f"{_OME} {_OME}/ome.xsd",
            "Creator": f"locstream {__version__}",
            "UUID": f"urn:uuid:{info.uuid}",
        },
    )
    _add_people(root, info.experiment)
    _add_instrument(root, info)
    _add_image(root, info, pages)
    _add_annotation(root, info, pages)
    text: bytes = ET.tostring(root, "us-ascii", xml_declaration=False)
    return _DECLARATION + text


def _add_people(root: ET.Element, experiment: Experiment) -> None:
    if experiment.licence:
        _add(_add(root, "Rights"), "RightsHeld").text = _clean(experiment.licence)
    for number, person in enumerate(experiment.people):
        first, _, last = person.name.rpartition(" ")
        _add(
            root,
            "Experimenter",
            ID=f"Experimenter:{number}",
            FirstName=first,
            LastName=last,
            Email=person.email,
            Institution=person.affiliation,
        )


def _add_instrument(root: ET.Element, info: StackMetadata) -> None:
    instrument, optics = _add(root, "Instrument", ID="Instrument:0"), info.experiment
    if optics.microscope:
        _add(instrument, "Microscope", Model=optics.microscope)
    for number, laser in enumerate(optics.lasers):
        _add(
            instrument,
            "Laser",
            ID=f"LightSource:0:{number}",
            Power=laser.power_mw,
            PowerUnit="mW" if laser.power_mw is not None else None,
            Wavelength=f"{laser.wavelength_nm:g}",
        )
    _add(
        instrument,
        "Detector",
        ID="Detector:0:0",
        Model=info.source.camera,
        SerialNumber=info.source.serial,
        Type="EMCCD" if (info.em_gain or 1) > 1 else None,
    )
    if optics.has_objective:
        _add(
            instrument,
            "Objective",
            ID="Objective:0:0",
            Model=optics.objective,
            Immersion=optics.immersion,
            LensNA=optics.numerical_aperture,
            NominalMagnification=optics.magnification,
        )


def _add_image(root: ET.Element, info: StackMetadata, pages: int) -> None:
    image = _add(root, "Image", ID="Image:0", Name=info.name)
    if len(info.times_s) and 0 <= info.times_s[0] < _YEAR_10000:
        _add(image, "AcquisitionDate").text = datetime.fromtimestamp(float(info.times_s[0]), UTC).isoformat()
    if info.experiment.people:
        _add(image, "ExperimenterRef", ID="Experimenter:0")
    if info.description:
        _add(image, "Description").text = _clean(info.description)
    _add(image, "InstrumentRef", ID="Instrument:0")
    if info.experiment.has_objective:
        _add(image, "ObjectiveSettings", ID="Objective:0:0")
    source = info.source
    size_um = None if source.pixel_size_nm is None else source.pixel_size_nm / 1000
    pixels = _add(
        image,
        "Pixels",
        ID="Pixels:0",
        DimensionOrder="XYZCT",
        Type="uint16",
        BigEndian="false",
        SignificantBits=source.bit_depth or 16,
        SizeX=source.width,
        SizeY=source.height,
        SizeZ=1,
        SizeC=1,
        SizeT=pages,
        PhysicalSizeX=size_um,
        PhysicalSizeY=size_um,
        TimeIncrement=_seconds(source.interval_ms),
    )
    _add_channel(pixels, info)
    _add(pixels, "TiffData", IFD=0, PlaneCount=pages)
    for number, time_s in _planes(info, pages):
        _add(
            pixels,
            "Plane",
            TheZ=0,
            TheC=0,
            TheT=number,
            DeltaT=time_s,
            ExposureTime=_seconds(source.exposure_ms),
        )
    _add(image, "AnnotationRef", ID="Annotation:0")


def _add_channel(pixels: ET.Element, info: StackMetadata) -> None:
    optics = info.experiment
    light = optics.excitation
    channel = _add(
        pixels,
        "Channel",
        ID="Channel:0:0",
        SamplesPerPixel=1,
        AcquisitionMode="SingleMoleculeImaging",
        Fluor=optics.fluorophore,
        ExcitationWavelength=None if light is None else f"{optics.lasers[light].wavelength_nm:g}",
        EmissionWavelength=None if optics.emission_nm is None else f"{optics.emission_nm:g}",
    )
    if light is not None:
        _add(channel, "LightSourceSettings", ID=f"LightSource:0:{light}")
    _add(channel, "DetectorSettings", ID="Detector:0:0", Gain=info.em_gain, Offset=info.offset_adu)


def _planes(info: StackMetadata, pages: int) -> Iterator[tuple[int, float | None]]:
    """Give the number of each plane that is listed, and its time since the first, s."""
    times = np.asarray(info.times_s, np.float64)
    for number in range(min(pages, MOST_PLANES)):
        known = number < len(times) and bool(np.isfinite(times[[0, number]]).all())
        if known or info.source.exposure_ms is not None:
            yield number, round(float(times[number] - times[0]), 9) if known else None


def _add_annotation(root: ET.Element, info: StackMetadata, pages: int) -> None:
    missing = _missing_numbers(np.asarray(info.frame_numbers[:pages], np.int64))
    values: dict[str, object] = {
        **info.source.details,
        **info.annotations,
        "ElectronsPerCount": info.gain_e_per_adu,
        "ADOffset": info.offset_adu,
        "ReadNoiseElectronsRMS": info.read_noise_e,
        "QuantumEfficiency": info.quantum_efficiency,
        "EMGain": info.em_gain,
        ROI_X_KEY: info.source.roi_x,
        ROI_Y_KEY: info.source.roi_y,
        "FramesMissing": sum(last - first + 1 for first, last in missing),
        "FrameNumbersMissing": ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in missing) or None,
        "Warnings": "\n".join(info.source.warnings) or None,
    }
    annotations = _add(root, "StructuredAnnotations")
    annotation = _add(annotations, "MapAnnotation", ID="Annotation:0", Namespace=ANNOTATION_NAMESPACE)
    pairs = _add(annotation, "Value")
    for key, value in values.items():
        if value is not None:
            _add(pairs, "M", K=key).text = _clean(str(value))


def _missing_numbers(numbers: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the first and last of each run of numbers that no page has, up to the last page's."""
    present = np.concatenate([[-1], np.unique(numbers)])
    gaps = np.flatnonzero(np.diff(present) > 1)
    return [(int(present[i]) + 1, int(present[i + 1]) - 1) for i in gaps]


def _seconds(duration_ms: float | None) -> float | None:
    return None if duration_ms is None else duration_ms / 1000


def _add(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """Append an element; attributes that are None or "" are left out."""
    given = {key: _clean(str(value)) for key, value in attributes.items() if value is not None and value != ""}
    return ET.SubElement(parent, tag, given)


def _clean(text: str) -> str:
    """Replace what XML cannot hold at all, even escaped."""
    return _FORBIDDEN_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
