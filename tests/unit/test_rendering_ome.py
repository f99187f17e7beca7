"""The OME-TIFF holds the numbers as they are, where they are, and says how large a pixel is."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import ome_types
import pytest
import tifffile
from ome_types.model import OME, UnitsLength

from locstream.rendering import ome
from locstream.rendering.ome import save_ome_tiff


def pattern(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Return an image that no flip, turn or transposition leaves as it is."""
    image = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    image[0, -1] = 1e7 + 0.5
    return image


def described(path: Path) -> OME:
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert tiff.pages.first.description.startswith('<?xml version="1.0" encoding="UTF-8"?>')
        assert tiff.ome_metadata is not None
        return ome_types.from_xml(tiff.ome_metadata)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 1), (1, 300), (300, 1), (257, 513)])
def test_the_numbers_come_back_as_they_were(shape: tuple[int, int], tmp_path: Path) -> None:
    path, image = tmp_path / "a.ome.tif", pattern(*shape)
    save_ome_tiff(path, image, 20.0, "a")
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        assert len(tiff.series) == 1
        assert series.dtype == np.float32
        assert len(tiff.pages) == 1
        back = series.asarray().reshape(shape)
    np.testing.assert_array_equal(back, image)
    pixels = described(path).images[0].pixels
    assert (pixels.size_y, pixels.size_x, pixels.size_c, pixels.size_z, pixels.size_t) == (*shape, 1, 1, 1)


def test_axes_are_rows_then_columns(tmp_path: Path) -> None:
    save_ome_tiff(tmp_path / "a.ome.tif", pattern(5, 9), 20.0, "a")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.series[0].axes == "YX"
        assert tiff.series[0].shape == (5, 9)


@pytest.mark.parametrize("bin_nm", [20.0, 13.7, 1.0, 33.3, 1000.0])
def test_the_pixel_size_is_in_micrometres_and_in_the_plain_tiff_tags(bin_nm: float, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    save_ome_tiff(path, pattern(5, 9), bin_nm, "a")
    pixels = described(path).images[0].pixels
    assert pixels.physical_size_x == pixels.physical_size_y == pytest.approx(bin_nm / 1000)
    assert pixels.physical_size_x_unit == pixels.physical_size_y_unit == UnitsLength.MICROMETER
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        for tag in ("XResolution", "YResolution"):
            numerator, denominator = tags[tag].value
            assert 1e7 * denominator / numerator == pytest.approx(bin_nm, rel=1e-5)


def test_name_description_and_annotations_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    notes = {"Rendering": "gaussian", "Blur (nm)": "own <precision> & more", "Größe": "µm"}
    save_ome_tiff(path, pattern(5, 9), 20.0, 'α-tubulin "3" <1 & 2>', "first line\nsecond", notes)
    o = described(path)
    assert o.creator is not None
    assert o.creator.startswith("locstream ")
    assert o.images[0].name == 'α-tubulin "3" <1 & 2>'
    assert o.images[0].description == "first line\nsecond"
    assert o.images[0].pixels.channels[0].name == "localizations per pixel"
    annotation = o.structured_annotations.map_annotations[0]
    assert {m.k: m.value for m in annotation.value.ms} == notes
    assert o.images[0].annotation_refs[0].id == annotation.id


def test_what_xml_cannot_hold_does_not_spoil_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    save_ome_tiff(path, pattern(5, 9), 20.0, "a\x1b[1mb\ud800", "\x00c", {"d\x07": "\x0be"})
    o = described(path)
    assert o.images[0].name == "a[1mb"
    assert o.images[0].description == "c"


def test_the_whole_text_is_well_formed(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    save_ome_tiff(path, pattern(5, 9), 20.0, "{name} {0} %s", "{x}", {"{k}": "{v}"})
    with tifffile.TiffFile(path) as tiff:
        root = ET.fromstring(tiff.pages.first.description.encode())
    assert root.tag.endswith("OME")
    assert [e.get("Name") for e in root.iter() if e.tag.endswith("}Image")] == ["{name} {0} %s"]


def test_a_small_picture_has_one_level(tmp_path: Path) -> None:
    save_ome_tiff(tmp_path / "a.ome.tif", pattern(600, 700), 20.0, "a")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert len(tiff.series[0].levels) == 1


@pytest.mark.parametrize("shape", [(1200, 700), (1101, 1203), (3, 5000), (2500, 1)])
def test_a_large_picture_carries_smaller_copies_and_stays_as_it_is(
    shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ome, "PYRAMID_ABOVE_PX", 1000)
    image = np.random.default_rng(0).poisson(0.3, shape).astype(np.float32)
    save_ome_tiff(tmp_path / "a.ome.tif", image, 20.0, "a")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        levels = [level.asarray().reshape(level.shape) for level in tiff.series[0].levels]
        assert len(tiff.pages) == 1, "a reader that knows no pyramids sees one plane"
    np.testing.assert_array_equal(levels[0].reshape(shape), image)
    assert max(levels[-1].shape) <= 512
    assert len(levels) == 1 + np.ceil(np.log2(max(shape) / 512))
    halves = tuple(max(1, n // 2) for n in shape)
    second = levels[1].reshape(halves)
    for row in {0, halves[0] - 1}:
        for column in {0, halves[1] // 2, halves[1] - 1}:
            square = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert second[row, column] == pytest.approx(square.mean())
    described(tmp_path / "a.ome.tif")


def test_empty_space_takes_little_of_the_disk(tmp_path: Path) -> None:
    image = np.zeros((1000, 1000), np.float32)
    image[::50, ::50] = 1.5
    save_ome_tiff(tmp_path / "a.ome.tif", image, 20.0, "a")
    assert (tmp_path / "a.ome.tif").stat().st_size < image.nbytes / 10


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_ome_tiff(tmp_path / "no" / "a.ome.tif", pattern(2, 2), 20.0, "a")
