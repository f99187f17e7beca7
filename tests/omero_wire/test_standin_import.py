"""Importing a fileset: every rule a client can run into, and images that say what the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from omero_wire.probe import Probe, WireError
from omero_wire.stand_in_process import StandIn

pytestmark = pytest.mark.peer
SIZES = (
    "select p.sizeX, p.sizeY, p.sizeZ, p.sizeC, p.sizeT, t.value, o.value, i.format.value from Pixels p "
    "join p.pixelsType t join p.dimensionOrder o join p.image i where i.id = :image"
)


def ids(found: Any) -> list[int]:
    assert "images" in found, found
    numbers: list[int] = found["images"]
    return numbers


def test_an_image_says_what_its_file_says(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    dataset = ada("make", "ada", "Dataset", name="d")
    (image,) = ids(ada("import_file", "ada", str(stack_file), dataset, marker={"role": "raw"}))
    assert ada("projection", "ada", SIZES, image=image) == [[30, 20, 1, 1, 7, "uint16", "XYCZT", "OMETiff"]]
    physical = (
        "select p.physicalSizeX.value, p.physicalSizeX.unit, p.physicalSizeY.value, p.physicalSizeY.unit, "
        "p.timeIncrement.value, p.timeIncrement.unit from Pixels p"
    )
    assert ada("projection", "ada", physical) == [[0.1, "MICROMETER", 100.0, "NANOMETER", 0.02, "SECOND"]]
    about = (
        "select i.name, d.name, m.name, m.value, f.templatePrefix, e.clientPath, o.name, o.size, o.path from Image i "
        "join i.datasetLinks l join l.parent d join i.annotationLinks al join al.child a join a.mapValue m "
        "join i.fileset f join f.usedFiles e join e.originalFile o"
    )
    (found,) = ada("projection", "ada", about)
    prefix = found[4]
    assert found[:4] == ["stack.ome.tif", "d", "role", "raw"]
    assert found[5:] == ["run/stack.ome.tif", "stack.ome.tif", stack_file.stat().st_size, prefix]
    assert prefix.startswith("ada_")
    on_disk = omero_server.folder / "ManagedRepository" / prefix / "stack.ome.tif"
    assert on_disk.read_bytes() == stack_file.read_bytes()
    jobs = "select j.status.value, count(l) from FilesetJobLink l join l.child j group by j.status.value"
    assert ada("projection", "ada", jobs) == [["Finished", 4]]


def test_a_given_name_is_cut_and_the_file_s_own_is_not_used(ada: Probe, stack_file: Path) -> None:
    (image,) = ids(ada("import_file", "ada", str(stack_file), name="n" * 300))
    assert ada("projection", "ada", "select i.name from Image i where i.id = :i", i=image) == [["n" * 255]]


def test_several_series_are_several_images_of_one_fileset(ada: Probe, tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(np.zeros((2, 8, 9), np.uint8), photometric="minisblack", metadata={"axes": "TYX", "Name": "one"})
        tif.write(np.zeros((8, 9), np.float32), photometric="minisblack", metadata={"axes": "YX", "Name": "two"})
    first, second = ids(ada("import_file", "ada", str(path)))
    names = "select i.name, i.series, i.fileset.id from Image i order by i.id"
    assert ada("projection", "ada", names) == [["two.ome.tif [one]", 0, 1], ["two.ome.tif [two]", 1, 1]]
    refused = ada("delete", "ada", Image=[first])
    assert refused["err"] == "graph-fail"
    assert refused["message"] == f"within Fileset[1] may not delete Image[{first}] while Image[{second}] remains"
    assert "deleted" in ada("delete", "ada", Image=[first, second])


def test_statistics_are_those_of_the_planes_and_can_be_set(ada: Probe, stack_file: Path) -> None:
    ranges = "select s.globalMin, s.globalMax from Channel c join c.statsInfo s where c.pixels.image.id = :image"
    frames = tifffile.imread(stack_file)
    (counted,) = ids(ada("import_file", "ada", str(stack_file), stats=True))
    assert ada("projection", "ada", ranges, image=counted) == [[float(frames.min()), float(frames.max())]]
    (plain,) = ids(ada("import_file", "ada", str(stack_file)))
    assert ada("projection", "ada", ranges, image=plain) == []
    pixels = ada("projection", "ada", "select p.id from Pixels p where p.image.id = :i", i=plain)[0][0]
    ada("call", "ada", "getPixelsService", "setChannelGlobalMinMax", pixels, 0, 90.0, 4000.0)
    assert ada("projection", "ada", ranges, image=plain) == [[90.0, 4000.0]]
    with pytest.raises(WireError, match="1 channels, none at 1"):
        ada("call", "ada", "getPixelsService", "setChannelGlobalMinMax", pixels, 1, 90.0, 4000.0)


def test_a_stack_that_was_cut_off_is_read_as_what_is_left_of_it(ada: Probe, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.ome.tif", tmp_path / "cut.ome.tif"
    text = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="n">'
    text += '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="64" SizeY="64" SizeZ="1" SizeC="1" '
    text += 'SizeT="5" PhysicalSizeX="0.1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image>'
    text += "</OME>"
    with tifffile.TiffWriter(whole) as tif:  # page after page, as a camera's recorder writes
        for i, frame in enumerate(np.arange(5 * 64 * 64, dtype=np.uint16).reshape(5, 64, 64)):
            about = text if i == 0 else None
            tif.write(frame, photometric="minisblack", contiguous=False, description=about, metadata=None)
    (image,) = ids(ada("import_file", "ada", str(whole)))
    assert ada("projection", "ada", SIZES, image=image)[0][4:] == [5, "uint16", "XYZCT", "OMETiff"]
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (image,) = ids(ada("import_file", "ada", str(cut)))
    (found,) = ada("projection", "ada", SIZES, image=image)
    assert 0 < found[4] < 5
    assert found[7] == "TiffDelegate"
    sizes = ada("projection", "ada", "select p.physicalSizeX from Pixels p where p.image.id = :i", i=image)
    assert sizes == [[None]]  # and nothing of what it said is left


def test_what_is_no_image_is_refused_and_leaves_its_fileset(ada: Probe, omero_server: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "not.ome.tif"
    path.write_bytes(b"II*\0" + b"\xff" * 100)
    found = ada("import_file", "ada", str(path))
    assert (found["err"], found["category"]) == ("import-unknown-format", "::omero::grid::ImportRequest")
    kinds = {row["kind"] for row in omero_server.objects()}
    assert "Fileset" in kinds
    assert "Image" not in kinds
    assert "deleted" in ada("delete", "ada", Fileset=[1])
    assert not [row for row in omero_server.objects() if row["kind"] != "Event"]


def test_a_checksum_that_differs_names_the_file_and_the_server_s_own(ada: Probe, stack_file: Path) -> None:
    with pytest.raises(WireError, match="checksum mismatch") as caught:
        ada("import_file", "ada", str(stack_file), sha1="0" * 40)
    assert caught.value.name == "ChecksumValidationException"
    assert len(caught.value.failing["0"]) == 40


def test_a_byte_that_changed_on_the_way_is_found_by_its_checksum(
    ada: Probe, omero_server: StandIn, stack_file: Path
) -> None:
    omero_server.set_faults(corrupt_write=2)
    with pytest.raises(WireError, match="checksum mismatch"):
        ada("import_file", "ada", str(stack_file), block=4000)
    ids(ada("import_file", "ada", str(stack_file), block=4000))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"algorithm": False}, "must specify checksum algorithm"),
        ({"jobs": 0}, "job link"),
        ({"jobs": 2}, "job link"),
        ({"project": 1}, "no Dataset"),
        ({"dataset": 77}, ""),
    ],
)
def test_what_a_client_may_get_wrong(ada: Probe, stack_file: Path, how: dict[str, Any], message: str) -> None:
    if "dataset" in how:  # found out when the image is put there
        assert ada("import_file", "ada", str(stack_file), **how)["err"] == "import-request-failure"
        return
    with pytest.raises(WireError, match=message):
        ada("import_file", "ada", str(stack_file), **how)


def test_an_import_into_somebody_else_s_dataset_is_refused(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    dataset = ada("make", "ada", "Dataset", name="hers")
    ada("login", "bob", omero_server.url, "bob", "secret")
    found = ada("import_file", "bob", str(stack_file), dataset)
    assert found["err"] == "import-request-failure"
    assert "Cannot link" in found["message"]
    assert ada("projection", "ada", "select count(i) from Image i") == [[0]]


def test_the_offset_counts_while_the_store_is_open(ada: Probe) -> None:
    assert ada("upload_offset", "ada", 1234) == [0, 1234, 0]


def test_a_callback_hears_the_steps(ada: Probe, stack_file: Path) -> None:
    found = ada("import_steps", "ada", str(stack_file))
    assert (found["current"], found["steps"]) == (6, 6)
    assert all(total == 6 and 1 <= done <= 6 for done, total in found["told"])
