"""What is taken from the OME-XML of other programs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks.description import Description
from locstream.stacks.ome_description import describe_ome, is_ome
from locstream.stacks.tiff import open_tiff

NAMESPACES = ["http://www.openmicroscopy.org/Schemas/OME/2016-06", "http://www.openmicroscopy.org/Schemas/OME/2011-06"]


def xml(
    pixels: str = "", inside: str = "", *, image: str = "", before: str = "", namespace: str = NAMESPACES[0]
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{namespace}" UUID="urn:uuid:7">{before}'
        f'<Image ID="Image:0" Name="cell 3">{image}<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
        f'SizeX="9" SizeY="8" SizeZ="1" SizeC="1" SizeT="5" {pixels}>{inside}</Pixels></Image></OME>'
    )


def describe(text: str) -> Description:
    return describe_ome(text, "a.ome.tif")


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize(
    ("attributes", "nm"),
    [
        ('PhysicalSizeX="0.16"', 160.0),
        ('PhysicalSizeX="0.16" PhysicalSizeXUnit="µm"', 160.0),
        ('PhysicalSizeX="97.5" PhysicalSizeXUnit="nm"', 97.5),
        ('PhysicalSizeX="1.1E-4" PhysicalSizeXUnit="mm"', 110.0),
        ('PhysicalSizeX="1300" PhysicalSizeXUnit="Å"', 130.0),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', None),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="reference frame"', None),
        ('PhysicalSizeX="0"', None),
        ('PhysicalSizeX="-0.1"', None),
        ('PhysicalSizeX="NaN"', None),
        ('PhysicalSizeX="large"', None),
        ('PhysicalSizeX="25000"', None),
        ("", None),
    ],
)
def test_pixel_size_in_whatever_unit(attributes: str, nm: float | None, namespace: str) -> None:
    found = describe(xml(attributes, namespace=namespace)).pixel_size_nm
    assert found == (None if nm is None else pytest.approx(nm))


@pytest.mark.parametrize(
    ("value", "unit", "ms"), [("0.03", "", 30.0), ("30", "ms", 30.0), ("500", "µs", 0.5), ("0", "", None)]
)
def test_times_in_whatever_unit(value: str, unit: str, ms: float | None) -> None:
    def attribute(name: str) -> str:
        return f'{name}="{value}"' + (f' {name}Unit="{unit}"' if unit else "")

    plane = f'<Plane TheZ="0" TheC="0" TheT="0" {attribute("ExposureTime")}/><Plane ExposureTime="9"/>'
    found = describe(xml(attribute("TimeIncrement"), plane))
    assert found.interval_ms == (None if ms is None else pytest.approx(ms))
    assert found.exposure_ms == (None if ms is None else pytest.approx(ms))


def test_camera_bits_and_date() -> None:
    instrument = '<Instrument ID="I"><Detector ID="D" Model="Prime BSI" SerialNumber="A12"/></Instrument>'
    found = describe(
        xml('SignificantBits="12"', before=instrument, image="<AcquisitionDate>2024-01-02T03:04:05</AcquisitionDate>")
    )
    assert (found.camera, found.serial, found.bit_depth) == ("Prime BSI", "A12", 12)
    assert found.details == {"Name": "cell 3", "AcquisitionDate": "2024-01-02T03:04:05", "UUID": "urn:uuid:7"}
    assert found.axes == {"frames": 5, "slices": 1, "channels": 1}


def test_pixels_that_are_not_square_are_said() -> None:
    found = describe(xml('PhysicalSizeX="0.1" PhysicalSizeY="0.12"'))
    assert found.pixel_size_nm == pytest.approx(100)
    assert found.warnings == ("a.ome.tif says its pixels are 100 nm wide and 120 nm high; 100 nm is taken for both",)
    assert describe(xml('PhysicalSizeX="0.1" PhysicalSizeY="0.1001"')).warnings == ()


def test_annotations_of_others_stay_outside() -> None:
    def annotation(namespace: str) -> str:
        pairs = '<Value><M K="ROIOriginX">7</M><M K="ADOffset">100</M></Value>'
        return f'<MapAnnotation ID="A" Namespace="{namespace}">{pairs}</MapAnnotation>'

    theirs = describe(xml(image=annotation("example.org/theirs")))
    assert theirs.roi_x is None
    assert "ADOffset" not in theirs.details
    ours = describe(xml(image=annotation("urn:locstream:acquisition")))
    assert ours.roi_x == 7
    assert ours.details["ADOffset"] == "100"
    assert "ROIOriginX" not in ours.details


@pytest.mark.parametrize("planes", ["", "<TiffData/>", '<TiffData IFD="0" PlaneCount="5"/>', '<TiffData IFD="2"/>'])
def test_one_file_needs_no_list(planes: str) -> None:
    assert describe(xml(inside=planes)).files == ()


def test_planes_in_another_order_than_the_pages_are_refused() -> None:
    planes = "".join(f'<TiffData FirstT="{t}" IFD="{4 - t}" PlaneCount="1"/>' for t in range(5))
    with pytest.raises(StackError, match="another order than they were taken"):
        describe(xml(inside=planes))


def test_several_images_are_refused() -> None:
    text = xml(inside="<TiffData/>")
    image = text[text.index("<Image") : text.index("</OME>")]
    with pytest.raises(StackError, match=r"a.ome.tif holds 2 images"):
        describe(text.replace("</OME>", f"{image}</OME>"))


def test_of_several_images_in_several_files_ours_is_taken() -> None:
    def image(name: str, size: float) -> str:
        data = f'<TiffData><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        return f'<Image><Pixels SizeT="5" PhysicalSizeX="{size}">{data}</Pixels></Image>'

    text = f'<OME xmlns="{NAMESPACES[0]}" UUID="x">{image("b.ome.tif", 0.2)}{image("a.ome.tif", 0.1)}</OME>'
    assert describe(text).pixel_size_nm == pytest.approx(100)


def test_a_part_of_a_set_points_to_the_whole() -> None:
    text = f'<OME xmlns="{NAMESPACES[0]}"><BinaryOnly MetadataFile="whole.ome.tif" UUID="urn:uuid:1"/></OME>'
    assert describe(text).warnings == (
        "a.ome.tif is one file of a set; only its own frames are read: open whole.ome.tif for all of them",
    )


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><OME><Image></OME>',
        "<OME>&unknown;</OME>",
        "<OME></OME>",
        "<OME><Image/></OME>",
        '<!DOCTYPE a [<!ENTITY b "' + "x" * 100 + '">' + "".join(
            f'<!ENTITY c{i} "{("&" + ("b" if i == 0 else f"c{i - 1}") + ";") * 100}">' for i in range(6)
        ) + "]><OME>&c5;</OME>",
    ],
    ids=["broken", "entity", "empty", "no pixels", "entity bomb"],
)  # fmt: skip
def test_what_cannot_be_understood_is_said_and_the_pages_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ome.tif"
    frames = np.arange(5 * 8 * 9, dtype=np.uint16).reshape(5, 8, 9)
    tifffile.imwrite(path, frames, photometric="minisblack", description=text, metadata=None)
    assert is_ome(text)
    stack = open_tiff(path)
    assert len(stack.info.warnings) == 1
    assert "its pages are read in order" in stack.info.warnings[0]
    np.testing.assert_array_equal(stack.read(4), frames[4])
    stack.close()


def test_what_is_no_ome_xml() -> None:
    assert not is_ome("")
    assert not is_ome("ImageJ=1.5")
    assert not is_ome("<html></html>")
