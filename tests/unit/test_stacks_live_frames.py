"""Each page of a live stack says which frame it is: number and time, there whenever the pixels are."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from locstream.errors import StackError
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.live_page import FRAME_NUMBER, FRAME_TIME, from_ns, to_ns
from locstream.stacks.ome import StackMetadata, finalize_ome_tiff
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image, SourceInfo

HEIGHT, WIDTH = 6, 9
NUMBERS = [0, 1, 2, 7, 8, 2**31, 2**31 + 1]
TIMES_S = [1_700_000_000.125 + 0.0101 * number for number in NUMBERS]


def frame(index: int) -> Image:
    return np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + np.uint16(100 * index)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.live.tif"
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        for index, (number, time_s) in enumerate(zip(NUMBERS, TIMES_S, strict=True)):
            writer.append(frame(index), number, time_s)
    return path


def test_numbers_and_times_come_back_to_the_bit(path: Path) -> None:
    info = read_pages_info(path)
    assert info.numbers.tolist() == NUMBERS
    assert info.times_s.tolist() == TIMES_S


def test_they_are_there_while_the_stack_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.live.tif"
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        assert len(read_pages_info(path).numbers) == 0
        for index in range(5):
            writer.append(frame(index), 3 * index, 10.0 + index)
            info = read_pages_info(path)
            assert info.numbers.tolist() == [3 * i for i in range(index + 1)]
            assert info.times_s.tolist() == [10.0 + i for i in range(index + 1)]


def test_they_stay_when_it_is_finished_as_ome_tiff(path: Path, tmp_path: Path) -> None:
    final = tmp_path / "a.ome.tif"
    finalize_ome_tiff(path, final, StackMetadata(SourceInfo(camera="x", width=WIDTH, height=HEIGHT)))
    assert read_pages_info(final).numbers.tolist() == NUMBERS
    assert read_pages_info(final).times_s.tolist() == TIMES_S


def test_without_numbers_frames_count_on_and_times_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.live.tif"
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        writer.append(frame(0))
        writer.append(frame(1), 5)
        writer.append(frame(2))
    assert read_pages_info(path).numbers.tolist() == [0, 5, 6]
    assert np.isnan(read_pages_info(path).times_s).all()


@pytest.mark.parametrize("number", [4, 3, 0])
def test_a_frame_out_of_order_is_refused_and_the_stack_goes_on(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a.live.tif"
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        writer.append(frame(0), 4)
        with pytest.raises(StackError, match=f"frame {number} came after frame 4") as refused:
            writer.append(frame(1), number)
        assert "1 frames are complete" in refused.value.safe
        writer.append(frame(1), 5)
    assert read_pages_info(path).numbers.tolist() == [4, 5]


def test_only_complete_pages_count(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert read_pages_info(path).numbers.tolist() == NUMBERS[:-1]


@pytest.mark.parametrize("size", [0, 5, 15])
def test_a_file_without_a_header_has_no_pages(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
    assert len(read_pages_info(path).numbers) == 0


def test_stacks_of_others_do_not_say_it(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.tif"
    tifffile.imwrite(theirs, np.stack([frame(0), frame(1)]), bigtiff=True)
    with pytest.raises(StackError, match="was not recorded by locstream"):
        read_pages_info(theirs)
    tifffile.imwrite(theirs, frame(0), bigtiff=True, software="locstream 0.0.1", metadata=None)
    with pytest.raises(StackError, match=r"page 0 of .* does not say which frame it is"):
        read_pages_info(theirs)
    with pytest.raises(StackError, match="cannot be opened"):
        read_pages_info(tmp_path / "nothing.tif")


# --- other programs -------------------------------------------------------------------------------------------------


def test_tifffile_reads_pixels_and_our_tags(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.series) == 1
        np.testing.assert_array_equal(tiff.asarray(), [frame(i) for i in range(len(NUMBERS))])
        for page, number, time_s in zip(tiff.pages, NUMBERS, TIMES_S, strict=True):
            assert page.aspage().tags[FRAME_NUMBER].value == number
            assert page.aspage().tags[FRAME_TIME].value == to_ns(time_s)


def test_tifffile_knows_no_other_meaning_of_our_tags() -> None:
    for code in (FRAME_NUMBER, FRAME_TIME):
        assert code not in tifffile.TIFF.TAGS
        assert code >= 65_000, "TIFF 6.0 leaves the codes from 65000 on to whoever needs one"


def test_pillow_reads_it(path: Path) -> None:
    with PIL.Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == len(NUMBERS)
        for index in range(len(NUMBERS)):
            image.seek(index)
            np.testing.assert_array_equal(np.asarray(image), frame(index))


def test_our_own_reader_is_not_disturbed(path: Path) -> None:
    stack = open_stack(path)
    assert (len(stack), stack.info.warnings) == (len(NUMBERS), ())
    stack.close()


def test_a_strict_reader_finds_only_types_of_the_standard(path: Path) -> None:
    """Readers have stopped at a type that they did not know, as Picasso once did; LONG8 every one of BigTIFF knows."""
    data = path.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 8)
    pages = 0
    while offset:
        (count,) = struct.unpack_from("<Q", data, offset)
        for entry in range(count):
            _, kind = struct.unpack_from("<HH", data, offset + 8 + 20 * entry)
            assert kind in (2, 3, 4, 5, 16)
        (offset,) = struct.unpack_from("<Q", data, offset + 8 + 20 * count)
        pages += 1
    assert pages == len(NUMBERS)


# --- times ----------------------------------------------------------------------------------------------------------


@given(st.floats(3.2e7, 9e9))
def test_a_time_since_1971_is_stored_to_the_bit(time_s: float) -> None:
    assert from_ns(to_ns(time_s)) == time_s


@pytest.mark.parametrize("time_s", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-12, 1e300])
def test_what_is_no_time_is_not_known(time_s: float) -> None:
    assert to_ns(time_s) == 0
    assert math.isnan(from_ns(0))
