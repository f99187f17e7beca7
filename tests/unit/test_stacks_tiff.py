"""TIFF stacks as the usual programs write them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks.source import Stack
from locstream.stacks.tiff import DecodedTiff, open_tiff

SHAPE = (7, 12, 17)  # neither square nor a multiple of anything, and no 3 or 4 that looks like colour


@pytest.fixture
def frames() -> npt.NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 65536, SHAPE, np.uint16)


def assert_holds(stack: Stack, frames: npt.NDArray[Any]) -> None:
    """Every frame is there, equal, and of the type that is promised."""
    assert len(stack) == stack.info.frames == len(frames)
    assert (stack.info.height, stack.info.width) == frames.shape[1:]
    for i, frame in enumerate(frames):
        image = stack.read(i)
        assert image.dtype == np.uint16
        assert image.dtype.isnative
        assert image.flags.c_contiguous
        assert image.flags.writeable
        np.testing.assert_array_equal(image, frame)
    stack.close()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"imagej": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"ome": True},
        {"ome": True, "bigtiff": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "TYX"}},
        {"metadata": None},
        {"truncate": True},
        {"rowsperstrip": 5},
        {"photometric": "miniswhite"},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
    ],
    ids=str,
)
def test_reads_what_tifffile_writes(
    tmp_path: Path, frames: npt.NDArray[np.uint16], options: dict[str, Any], byteorder: str
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, **{"photometric": "minisblack", "byteorder": byteorder} | options)
    assert_holds(open_tiff(path), frames)


def test_pages_written_one_by_one(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for frame in frames:
            writer.write(frame, contiguous=False, metadata=None)
    assert_holds(open_tiff(path), frames)


def test_eight_bits_are_widened_not_scaled(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    small = frames.astype(np.uint8)
    tifffile.imwrite(path, small, photometric="minisblack")
    assert_holds(open_tiff(path), small)


def test_a_single_image_is_a_stack_of_one(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames[0])
    assert_holds(open_tiff(path), frames[:1])


def test_reads_are_independent_of_each_other(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack")
    stack = open_tiff(path)
    first = stack.read(3)
    first[:] = 0
    np.testing.assert_array_equal(stack.read(3), frames[3])
    stack.close()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "packed"])
def test_no_frame_outside_and_none_after_close(
    tmp_path: Path, frames: npt.NDArray[np.uint16], options: dict[str, Any]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", **options)
    stack = open_tiff(path)
    for index in (-1, len(frames)):
        with pytest.raises(StackError, match=f"no frame {index}: it holds 7 frames, 0 … 6"):
            stack.read(index)
    stack.close()
    stack.close()
    with pytest.raises(StackError):
        stack.read(0)


def test_a_forgotten_stack_gives_its_file_back(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        open_tiff(path).read(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("content", [b"II*\0" + bytes(20), b"no TIFF"])
def test_a_refused_file_is_not_kept_open(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = []
    for _ in range(20):
        with pytest.raises(StackError) as refusal:
            open_tiff(path)
        kept.append(refusal)  # its traceback holds on to every object on the way
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_shrinks_after_it_was_opened_is_said(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack")
    stack = open_tiff(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StackError, match=r"ends within the frame at byte [\d,]+: \d+ of 408 bytes"):
        stack.read(6)
    np.testing.assert_array_equal(stack.read(0), frames[0])
    stack.close()


# --- one page for a stack larger than 4 GB -------------------------------------------------------------------------


def test_imagej_stack_above_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "big.tif"
    height, width, count = 1024, 2048, 1200
    note = f"ImageJ=1.54f\nimages={count}\nslices={count}\n"
    tifffile.imwrite(path, np.full((height, width), 7, np.uint16), description=note, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        start = int(tiff.pages.first.dataoffsets[0])
    with path.open("r+b") as file:  # a sparse file: all but the first and the last frame are holes
        file.truncate(start + count * height * width * 2)
        file.seek(start + (count - 1) * height * width * 2)
        file.write(np.full((height, width), 9, "<u2").tobytes())
    assert path.stat().st_size > 2**32
    stack = open_tiff(path)
    assert len(stack) == count
    assert stack.info.warnings == ()
    for index, value in ((0, 7), (count // 2, 0), (count - 1, 9)):
        assert np.all(stack.read(index) == value)
    stack.close()


def test_metamorph_stack_has_all_planes_under_one_page(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.stk"
    planes = len(frames)
    uic2 = (33629, 5, planes, [1] * 2 * planes, True)
    tifffile.imwrite(path, frames[0], metadata=None, extratags=[uic2])
    with tifffile.TiffFile(path) as tiff:
        start = int(tiff.pages.first.dataoffsets[0])
    with path.open("r+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(frames.astype("<u2").tobytes())
    assert_holds(open_tiff(path), frames)


# --- cut short, and other disagreements ----------------------------------------------------------------------------


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize("options", [{"imagej": True}, {}], ids=["imagej", "tifffile"])
def test_pages_behind_the_pixels_are_lost_but_no_frame_is(
    tmp_path: Path, frames: npt.NDArray[np.uint16], options: dict[str, Any]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", **options)
    with tifffile.TiffFile(path) as tiff:
        start = int(tiff.pages.first.dataoffsets[0])
    cut(path, start + 5 * frames[0].nbytes + 11)
    stack = open_tiff(path)
    said = [w for w in stack.info.warnings if "cut short" in w]
    assert len(said) == 1
    assert "5 complete frames of the 7 announced" in said[0]
    assert_holds(stack, frames[:5])


def test_nothing_is_guessed_where_the_announcement_is_lost_too(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, ome=True)  # puts the OME-XML behind everything else
    with tifffile.TiffFile(path) as tiff:
        start = int(tiff.pages.first.dataoffsets[0])
    cut(path, start + 5 * frames[0].nbytes + 11)
    stack = open_tiff(path)
    assert len(stack.info.warnings) == 1
    assert "1 complete frame can be read" in stack.info.warnings[0]
    assert_holds(stack, frames[:1])


def test_all_pixels_there_and_only_the_last_pages_lost(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"})
    cut(path, path.stat().st_size - 200)
    assert_holds(open_tiff(path), frames)


@pytest.mark.parametrize("damage", ["page", "link"])
def test_pixels_between_pages_are_not_taken_for_one_piece(
    tmp_path: Path, frames: npt.NDArray[np.uint16], damage: str
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames:
            note = "ImageJ=1.54f\nimages=7\nframes=7\n"
            writer.write(frame, contiguous=False, metadata=None, description=note)
    with tifffile.TiffFile(path) as tiff:
        second = tiff.pages.get(1).offset
    data = path.read_bytes()
    if damage == "page":
        data = data[:second] + bytes(2) + data[second + 2 :]
    else:
        link = second.to_bytes(4, "little")
        data = data.replace(link, (len(data) + 1000).to_bytes(4, "little"), 1)
    path.write_bytes(data)
    stack = open_tiff(path)
    assert "1 complete frame of the 7 announced" in stack.info.warnings[0]
    assert_holds(stack, frames[:1])


def test_a_torn_chain_of_pages_gives_the_complete_ones(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in frames:
            writer.write(frame, contiguous=False, metadata=None)
    cut(path, path.stat().st_size - 100)
    stack = open_tiff(path)
    assert len(stack.info.warnings) == 1
    assert "6 complete frames can be read" in stack.info.warnings[0]
    assert_holds(stack, frames[:6])


def test_an_acquisition_that_ended_early_is_said(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", description="ImageJ=1.54f\nimages=20\nframes=20\n")
    stack = open_tiff(path)
    assert stack.info.warnings == ("a.tif announces 20 frames but holds 7: all are read",)
    assert_holds(stack, frames)


def test_more_frames_than_announced_are_read_and_said(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", description="ImageJ=1.54f\nimages=2\nslices=2\n")
    stack = open_tiff(path)
    assert stack.info.warnings == ("a.tif announces only 2 frames but holds 7: all are read",)
    assert_holds(stack, frames)


def test_channels_alone_are_time_and_that_is_said(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "CYX"})
    stack = open_tiff(path)
    assert stack.info.warnings == ("a.tif calls its 7 frames channels; they are read as time",)
    stack.close()


def test_white_is_zero_is_said(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="miniswhite")
    stack = open_tiff(path)
    assert stack.info.warnings == ("a.tif says that 0 is white; its numbers are read as they are",)
    stack.close()


# --- what is refused -----------------------------------------------------------------------------------------------


def write_mixed(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for height in (12, 12, 13):
            writer.write(np.zeros((height, 17), np.uint16), contiguous=False, metadata=None)


def write_mixed_depth(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for dtype in (np.uint16, np.uint8):
            writer.write(np.zeros((12, 17), dtype), contiguous=False, metadata=None)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda p: tifffile.imwrite(p, np.zeros(SHAPE, np.float32)), "32-bit floating-point"),
        (lambda p: tifffile.imwrite(p, np.zeros(SHAPE, np.int16)), "16-bit signed integers"),
        (lambda p: tifffile.imwrite(p, np.zeros(SHAPE, np.uint32)), "32-bit unsigned integers"),
        (lambda p: tifffile.imwrite(p, np.zeros(SHAPE, bool)), "1-bit"),
        (lambda p: tifffile.imwrite(p, np.zeros((12, 17, 3), np.uint16), photometric="rgb"), "colour image .3 samples"),
        (
            lambda p: tifffile.imwrite(p, np.zeros((9, 2, 12, 17), np.uint16), imagej=True, metadata={"axes": "TCYX"}),
            "2 channels × 9 frames",
        ),
        (
            lambda p: tifffile.imwrite(p, np.zeros((9, 2, 12, 17), np.uint16), ome=True, metadata={"axes": "TZYX"}),
            "9 frames × 2 slices",
        ),
        (lambda p: tifffile.imwrite(p, np.zeros((9, 2, 12, 17), np.uint16)), "9 axis 0 × 2 axis 1"),
        (
            lambda p: tifffile.imwrite(
                p, np.zeros((2, 16, 16), np.uint16), volumetric=True, tile=(1, 16, 16), photometric="minisblack"
            ),
            "volumes",
        ),
        (write_mixed, r"page 2 of a.tif is 17 × 13 px .* the first page is 17 × 12 px"),
        (write_mixed_depth, r"page 1 of a.tif is .* 8 bit"),
    ],
)
def test_refused_with_the_reason(tmp_path: Path, write: Callable[[Path], None], words: str) -> None:
    path = tmp_path / "a.tif"
    write(path)
    with pytest.raises(StackError, match=words) as refusal:
        open_tiff(path)
    assert refusal.value.todo or words == "volumes"


def test_a_compression_that_cannot_be_unpacked_is_refused_at_once(
    tmp_path: Path, frames: npt.NDArray[np.uint16]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for i in range(len(frames)):
            tiff.pages.get(i).aspage().tags["Compression"].overwrite(34712)  # JPEG 2000
    with pytest.raises(StackError, match=r"frame 0 of a.tif cannot be unpacked") as refusal:
        open_tiff(path)
    assert "uncompressed" in refusal.value.todo


@pytest.mark.parametrize("content", [b"II*\0", b"II*\0\0\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0" + bytes(8)])
def test_no_page_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(StackError, match=r"without a page|holds no complete frame"):
        open_tiff(path)


def test_pixels_of_the_only_frame_missing(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames[0], metadata=None)
    cut(path, path.stat().st_size - 10)
    with pytest.raises(StackError, match="holds no complete frame: the pixels of page 0 are not all there"):
        open_tiff(path)


@pytest.mark.parametrize(("tag", "value"), [("ImageLength", 0), ("ImageWidth", 70_000), ("ImageLength", 65_000)])
def test_a_shape_that_cannot_be_true_is_refused(
    tmp_path: Path, frames: npt.NDArray[np.uint16], tag: str, value: int
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames[:1, :2, :2], compression="zlib", photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[tag].overwrite(value, dtype="I")
        if value == 65_000:
            tiff.pages.first.tags["ImageWidth"].overwrite(value, dtype="I")
    with pytest.raises(StackError, match=r"says its frames are .* it is damaged"):
        open_tiff(path)


# --- what the file says of itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "pixels_per_unit", "nm"),
    [
        ("micron", 1 / 0.16, 160.0),
        ("um", 8.0, 125.0),
        ("\\u00B5m", 10.0, 100.0),
        ("nm", 1 / 108, 108.0),
        ("mm", 10_000, 100.0),
        ("cm", 100_000, 100.0),
        ("inch", 254_000, 100.0),
        ("pixel", 1.0, None),
        ("", 72.0, None),
        ("inch", 72.0, None),
        ("furlong", 8.0, None),
    ],
)
def test_imagej_pixel_size_only_where_it_is_one(
    tmp_path: Path, frames: npt.NDArray[np.uint16], unit: str, pixels_per_unit: float, nm: float | None
) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "TYX", "finterval": 0.0305, "fps": 7.0} | ({"unit": unit} if unit else {})
    tifffile.imwrite(path, frames, imagej=True, resolution=(pixels_per_unit,) * 2, metadata=metadata)
    info = open_tiff(path).info
    assert info.pixel_size_nm == (None if nm is None else pytest.approx(nm, rel=1e-4))
    assert info.interval_ms == pytest.approx(30.5)
    assert info.details["Format"] == "ImageJ TIFF"


def test_a_packed_stack_is_decoded_and_a_plain_one_is_not(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    for name, options, decoded in (("p", {"compression": "zlib"}, True), ("q", {}, False)):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, frames, photometric="minisblack", **options)
        stack = open_tiff(path)
        assert isinstance(stack, DecodedTiff) is decoded
        stack.close()


def test_tifffile_shape_survives_odd_json(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.tif"
    note = json.dumps({"shape": "seven"})
    tifffile.imwrite(path, frames, photometric="minisblack", description=note, metadata=None)
    assert_holds(open_tiff(path), frames)
