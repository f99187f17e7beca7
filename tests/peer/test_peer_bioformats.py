"""Bio-Formats, by which Fiji and OMERO read files, sees in our OME-TIFFs what is in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile

from finished_run import METADATA, finished
from killed_run import PAGES
from locstream.bundle.verify import verify_folder
from locstream.rendering.ome import save_ome_tiff

pytestmark = pytest.mark.peer
Look = Callable[[Path], str]
VALID = "No validation errors found."


@pytest.fixture(scope="session")
def look(bioformats_jar: Path) -> Look:
    """Return what Bio-Formats' own tool says of a file: its core metadata, and its OME-XML."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("Bio-Formats needs Java: `apt install default-jre-headless`")

    def ask(path: Path) -> str:
        tool = [
            java,
            "-cp",
            str(bioformats_jar),
            "loci.formats.tools.ImageInfo",
            "-nopix",
            "-no-upgrade",
            "-noflat",
            "-omexml",
        ]
        done = subprocess.run([*tool, path], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ask


def xml_of(said: str) -> ome_types.OME:
    return ome_types.from_xml(said[said.index("<OME ") : said.rindex("</OME>") + len("</OME>")])


def test_a_raw_stack_is_read_with_its_dimensions_times_and_pixel_size(tmp_path: Path, look: Look) -> None:
    files = finished(tmp_path, metadata=METADATA)
    said = look(files.stack)
    assert "[OME-TIFF]" in said, "and not as the plain TIFF it takes a torn file for"
    assert VALID in said
    with tifffile.TiffFile(files.stack) as ours:
        pages, height, width = ours.series[0].shape
    assert pages == PAGES
    (image,) = xml_of(said).images
    pixels = image.pixels
    assert (pixels.size_t, pixels.size_y, pixels.size_x, pixels.size_c, pixels.size_z) == (PAGES, height, width, 1, 1)
    assert pixels.type.value == "uint16"
    wrote = ome_types.from_tiff(files.stack).images[0].pixels
    assert pixels.physical_size_x == pytest.approx(wrote.physical_size_x)
    times = [plane.delta_t for plane in pixels.planes]
    assert times == pytest.approx([plane.delta_t for plane in wrote.planes])
    assert len(times) == PAGES
    assert times == sorted(times)


def test_a_stack_that_is_cut_short_is_read_as_a_shorter_one_which_is_why_we_refuse_it(
    tmp_path: Path, look: Look
) -> None:
    files = finished(tmp_path)
    with tifffile.TiffFile(files.stack) as ours:
        middle = ours.pages[PAGES // 2].offset
    with files.stack.open("r+b") as stack:
        stack.truncate(middle)
    said = look(files.stack)
    assert "[OME-TIFF]" not in said or f"SizeT = {PAGES}\n" not in said
    assert any(fault.startswith(files.stack.name) for fault in verify_folder(tmp_path).faults)


@pytest.mark.parametrize("side", [300, 3500], ids=["plain", "pyramid"])
def test_a_reconstruction_is_read_with_its_pixel_size_and_its_smaller_copies(
    tmp_path: Path, look: Look, side: int
) -> None:
    image = np.random.default_rng(1).poisson(0.01, (side, side + 40)).astype(np.float32)
    path = tmp_path / "a_recon.ome.tif"
    save_ome_tiff(path, image, 20.0, "a", "what it is", {"Localizations": "12"})
    said = look(path)
    assert "[OME-TIFF]" in said
    assert VALID in said
    with tifffile.TiffFile(path) as ours:
        levels = len(ours.series[0].levels)
    assert (levels > 1) == (side > 3072)
    assert (f"Resolutions = {levels}\n" in said) == (levels > 1)
    pixels = xml_of(said).images[0].pixels
    assert (pixels.size_x, pixels.size_y, pixels.type.value) == (side + 40, side, "float")
    assert pixels.physical_size_x == pytest.approx(0.02)
