"""OME-XML as it is found in the first page of an OME-TIFF (Goldberg et al., Genome Biology 6:R47, 2005)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import PureWindowsPath

from locstream.errors import StackError
from locstream.stacks.description import Description, length_nm, number, time_ms, whole

ANNOTATION_NAMESPACE = "urn:locstream:acquisition"
"""Marks the key-value annotation that holds what OME has no field for."""

ROI_X_KEY, ROI_Y_KEY = "ROIOriginX", "ROIOriginY"
"""Column and row of the first pixel on the sensor, from 0."""

_AXES = {"SizeT": "frames", "SizeZ": "slices", "SizeC": "channels"}


def is_ome(text: str) -> bool:
    """Say whether an ImageDescription is OME-XML."""
    return text.endswith("OME>") and text.startswith("<")


def describe_ome(text: str, name: str) -> Description:
    """Return what the OME-XML in the file `name` says of the stack that this file belongs to.

    Raises
    ------
    StackError
        The file holds several images, or its planes in another order than its pages.
    """
    if "<!DOCTYPE" in text:
        what = f"the OME-XML in {name} declares a document type, as OME-XML never does"
        return Description(warnings=(f"{what}; its pages are read in order",))
    try:
        root = ET.fromstring(text)  # noqa: S314 - without a document type there is no entity to expand or to fetch
    except ET.ParseError as e:
        return Description(warnings=(f"the OME-XML in {name} cannot be read ({e}); its pages are read in order",))
    whole_set = next(_below(root, "BinaryOnly"), None)
    if whole_set is not None:
        other = whole_set.get("MetadataFile", "another file")
        return Description(
            dialect="OME-TIFF",
            warnings=(f"{name} is one file of a set; only its own frames are read: open {other} for all of them",),
        )
    image = _image_of(root, name)
    pixels = next(_below(image, "Pixels"), None) if image is not None else None
    if image is None or pixels is None:
        return Description(warnings=(f"the OME-XML in {name} describes no image; its pages are read in order",))
    return _describe_image(root, image, pixels, name)


def _describe_image(root: ET.Element, image: ET.Element, pixels: ET.Element, name: str) -> Description:
    plane = next(_below(pixels, "Plane"), ET.Element("Plane"))
    detector = next(_below(root, "Detector"), ET.Element("Detector"))
    own = _own_annotation(root)
    roi_x, roi_y = number(own.pop(ROI_X_KEY, None)), number(own.pop(ROI_Y_KEY, None))
    date = next(_below(image, "AcquisitionDate"), None)
    size_x, size_y = (
        length_nm(number(pixels.get(f"PhysicalSize{axis}")), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "XY"
    )
    details = {
        "Name": image.get("Name", ""),
        "AcquisitionDate": (date.text or "") if date is not None else "",
        "Creator": root.get("Creator", ""),
        "UUID": root.get("UUID", ""),
    }
    return Description(
        dialect="OME-TIFF",
        axes={axis: whole(pixels.get(size)) or 1 for size, axis in _AXES.items()},
        files=_files(root, pixels, name),
        camera=detector.get("Model", ""),
        serial=detector.get("SerialNumber", ""),
        pixel_size_nm=size_x,
        exposure_ms=time_ms(number(plane.get("ExposureTime")), plane.get("ExposureTimeUnit", "s")),
        interval_ms=time_ms(number(pixels.get("TimeIncrement")), pixels.get("TimeIncrementUnit", "s")),
        bit_depth=whole(pixels.get("SignificantBits")),
        roi_x=None if roi_x is None else int(roi_x),
        roi_y=None if roi_y is None else int(roi_y),
        details={key: value for key, value in details.items() if value} | own,
        warnings=_not_square(name, size_x, size_y),
    )


def _not_square(name: str, x_nm: float | None, y_nm: float | None) -> tuple[str, ...]:
    if x_nm is None or y_nm is None or abs(x_nm - y_nm) <= 0.01 * x_nm:
        return ()
    return (f"{name} says its pixels are {x_nm:g} nm wide and {y_nm:g} nm high; {x_nm:g} nm is taken for both",)


def _image_of(root: ET.Element, name: str) -> ET.Element | None:
    """Return the one image whose planes are in the file `name`, None where none is described."""
    images = list(_below(root, "Image"))
    own = [image for image in images if any(_file_of(root, data, name) == name for data in _below(image, "TiffData"))]
    candidates = own or images
    if len(candidates) > 1:
        raise StackError(
            f"{name} holds {len(candidates)} images (positions or series), a stack of frames is one",
            todo="save each position as a file of its own",
        )
    return candidates[0] if candidates else None


def _files(root: ET.Element, pixels: ET.Element, name: str) -> tuple[str, ...]:
    """Return the names of the files in the order of their first plane; () where it is `name` alone."""
    planes = sorted(
        (
            max(whole(data.get(f"First{axis}")) or 0 for axis in "TZC"),
            _file_of(root, data, name),
            whole(data.get("IFD")) or 0,
        )
        for data in _below(pixels, "TiffData")
    )
    last: dict[str, int] = {}
    for _, file, ifd in planes:
        if ifd < last.get(file, 0):
            raise StackError(
                f"the planes of {name} are stored in another order than they were taken",
                todo="save it again with its pages in the order of time (Bio-Formats, Fiji)",
            )
        last[file] = ifd
    files = tuple(last)
    return files if set(files) - {name} else ()


def _file_of(root: ET.Element, data: ET.Element, name: str) -> str:
    """Return the name of the file that holds a TiffData's planes; `name` is the file it was read from."""
    uuid = next(_below(data, "UUID"), None)
    if uuid is None or not uuid.get("FileName"):
        return name
    if uuid.text and uuid.text.strip() == root.get("UUID"):
        return name  # the file has been renamed, but knows itself
    # a path in there is of the machine that wrote it: only the name is of use, and only the name is safe
    return PureWindowsPath(uuid.get("FileName", "")).name


def _own_annotation(root: ET.Element) -> dict[str, str]:
    return {
        pair.get("K", ""): pair.text or ""
        for annotation in _below(root, "MapAnnotation")
        if annotation.get("Namespace") == ANNOTATION_NAMESPACE
        for pair in _below(annotation, "M")
    }


def _below(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    """Give every descendant called `tag`, of whatever version of the OME namespace."""
    return element.iterfind(f".//{{*}}{tag}")
