"""The stack that grows: page by page complete, and cut back to the last complete page."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from locstream import __version__
from locstream.errors import StackError
from locstream.stacks.live import LiveStackWriter, read_page
from locstream.stacks.live_page import FIRST_LINK_AT, HEADER, PageWritten, aligned, directory
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.open import open_stack

HEIGHT, WIDTH = 5, 7  # 35 pixels: no page has a round length


def frame(index: int) -> npt.NDArray[np.uint16]:
    return np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + np.uint16(1000 * index)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.live.tif"


def write(path: Path, pages: int) -> list[PageWritten]:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        return [writer.append(frame(i)) for i in range(pages)]


def assert_holds(path: Path, pages: int) -> None:
    """tifffile and our own reader both see exactly these pages."""
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == pages
        for i, page in enumerate(tiff.pages):
            np.testing.assert_array_equal(page.asarray(), frame(i))
    stack = open_stack(path)
    assert len(stack) == pages
    assert stack.info.warnings == ()
    for i in range(pages):
        np.testing.assert_array_equal(stack.read(i), frame(i))
    stack.close()


@pytest.mark.parametrize("pages", [1, 2, 3, 40])
def test_other_programs_read_it(path: Path, pages: int) -> None:
    write(path, pages)
    assert_holds(path, pages)
    np.testing.assert_array_equal(np.squeeze(tifffile.imread(path)), np.squeeze([frame(i) for i in range(pages)]))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert len(tiff.series) == 1
        assert tiff.pages.first.software == f"locstream {__version__}"


def test_every_page_is_there_when_append_returns(path: Path) -> None:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        assert writer.pages == 0
        for i in range(20):
            written = writer.append(frame(i))
            assert written.index == i
            assert writer.pages == i + 1
            assert_holds(path, i + 1)
            np.testing.assert_array_equal(read_page(path, written.offset_bytes, HEIGHT, WIDTH), frame(i))


def test_pages_can_be_read_in_any_order_later(path: Path) -> None:
    written = write(path, 9)
    for page in reversed(written):
        image = read_page(path, page.offset_bytes, HEIGHT, WIDTH)
        assert image.flags.writeable
        np.testing.assert_array_equal(image, frame(page.index))


def test_a_page_that_is_not_all_there_cannot_be_read(path: Path) -> None:
    last = write(path, 3)[-1]
    with pytest.raises(StackError, match=r"ends within the frame at byte .*: 68 of 70 bytes"):
        read_page(path, last.offset_bytes + 2, HEIGHT, WIDTH)
    with pytest.raises(StackError, match="cannot be opened"):
        read_page(path.with_name("other.tif"), 0, HEIGHT, WIDTH)


def test_images_of_any_layout_are_written_as_they_look(path: Path) -> None:
    wide = np.arange(4 * HEIGHT * WIDTH, dtype=np.uint16).reshape(2 * HEIGHT, 2 * WIDTH)
    layouts = [wide[::2, ::2], np.asfortranarray(wide[:HEIGHT, :WIDTH]), wide[HEIGHT - 1 :: -1, :WIDTH]]
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        for image in layouts:
            written = writer.append(image)
            np.testing.assert_array_equal(read_page(path, written.offset_bytes, HEIGHT, WIDTH), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((WIDTH, HEIGHT), np.uint16),
        np.zeros((HEIGHT, WIDTH), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.int16),
        np.zeros((HEIGHT, WIDTH), ">u2"),
        np.zeros((1, HEIGHT, WIDTH), np.uint16),
    ],
    ids=lambda image: f"{image.dtype.str} {image.shape}",
)
def test_a_frame_of_another_kind_is_refused_and_the_stack_goes_on(path: Path, image: npt.NDArray[np.uint16]) -> None:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        writer.append(frame(0))
        with pytest.raises(StackError, match="frame 1 is") as refusal:
            writer.append(image)
        assert refusal.value.safe == f"1 frames are complete in {path}"
        writer.append(frame(1))
    assert_holds(path, 2)


def test_a_closed_writer_writes_no_more(path: Path) -> None:
    writer = LiveStackWriter(path, HEIGHT, WIDTH)
    writer.append(frame(0))
    writer.close()
    writer.close()
    with pytest.raises(StackError, match="is closed"):
        writer.append(frame(1))
    assert_holds(path, 1)


def test_nothing_is_overwritten(path: Path) -> None:
    path.write_bytes(b"years of work")
    with pytest.raises(StackError, match="exists already"):
        LiveStackWriter(path, HEIGHT, WIDTH)
    assert path.read_bytes() == b"years of work"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"cannot be created: No such file"):
        LiveStackWriter(tmp_path / "none" / "a.tif", HEIGHT, WIDTH)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (-1, 5)])
def test_no_shape_no_stack(path: Path, shape: tuple[int, int]) -> None:
    with pytest.raises(StackError, match="cannot be recorded"):
        LiveStackWriter(path, *shape)
    assert not path.exists()


def test_the_disk_is_waited_for_where_it_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: waited.append(os.fstat(fd).st_size))
    with LiveStackWriter(path, HEIGHT, WIDTH, fsync=True) as writer:
        for i in range(3):
            end = writer.append(frame(i)).offset_bytes + 2 * HEIGHT * WIDTH
            assert waited[-1] == end
    assert len(waited) == 3


# --- a disk that fails ---------------------------------------------------------------------------------------------


class FailingDisk:
    """Stands in for `os.pwrite`: lets `quota` bytes through, then fails as a full disk does, within a write."""

    def __init__(self, error: int) -> None:
        self.quota: int | None = None
        self.error = error
        self.pwrite = os.pwrite

    def __call__(self, fd: int, data: memoryview, offset: int) -> int:
        if self.quota is None:
            return self.pwrite(fd, data, offset)
        if self.quota == 0:
            raise OSError(self.error, os.strerror(self.error))
        count = self.pwrite(fd, data[: self.quota], offset)
        self.quota -= count
        return count


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], FailingDisk]:
    def install(error: int) -> FailingDisk:
        failing = FailingDisk(error)
        monkeypatch.setattr(os, "pwrite", failing)
        return failing

    return install


PAGE_BYTES = len(directory(0, HEIGHT, WIDTH, first=False)[0]) + 2 * HEIGHT * WIDTH


@pytest.mark.parametrize("quota", [0, 1, 100, PAGE_BYTES - 75, PAGE_BYTES - 1, PAGE_BYTES])
def test_a_full_disk_costs_only_the_frame_at_hand(
    path: Path, failing: Callable[[int], FailingDisk], quota: int
) -> None:
    full = failing(errno.ENOSPC)
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        for i in range(3):
            writer.append(frame(i))
        full.quota = quota
        with pytest.raises(StackError, match=r"frame 3 could not be written to .*: the disk is full") as trouble:
            writer.append(frame(3))
        assert trouble.value.safe == f"3 frames are complete in {path}"
        assert "free space" in trouble.value.todo
        assert_holds(path, 3)
        full.quota = None
        for i in range(3, 6):  # space has been made: it goes on where it was
            writer.append(frame(i))
    assert_holds(path, 6)


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_them_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:13], offset))
    write(path, 3)
    assert_holds(path, 3)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EFBIG, "no larger file"),
        (errno.EIO, "failure"),
        (errno.ENODEV, os.strerror(errno.ENODEV)),
    ],
)
def test_each_trouble_has_its_words(path: Path, failing: Callable[[int], FailingDisk], error: int, words: str) -> None:
    broken = failing(error)
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        broken.quota = 0
        with pytest.raises(StackError, match=words) as trouble:
            writer.append(frame(0))
    assert trouble.value.todo
    assert trouble.value.safe == ""


def test_a_disk_that_takes_not_even_the_header(path: Path, failing: Callable[[int], FailingDisk]) -> None:
    failing(errno.ENOSPC).quota = 3
    with pytest.raises(StackError, match="the disk is full"):
        LiveStackWriter(path, HEIGHT, WIDTH)


def test_a_page_that_did_not_reach_the_disk_is_not_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveStackWriter(path, HEIGHT, WIDTH, fsync=True) as writer:
        writer.append(frame(0))
        with monkeypatch.context() as broken:

            def fail(fd: int) -> None:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

            broken.setattr(os, "fdatasync", fail)
            with pytest.raises(StackError, match="frame 1 could not be written"):
                writer.append(frame(1))
        assert_holds(path, 1)
        writer.append(frame(1))
    assert_holds(path, 2)


# --- repair --------------------------------------------------------------------------------------------------------


def test_a_sound_stack_is_left_as_it_is(path: Path) -> None:
    write(path, 4)
    before = path.read_bytes()
    assert repair_live_stack(path) == 4
    assert path.read_bytes() == before


def test_cut_anywhere_it_is_mended_to_its_complete_pages(path: Path) -> None:
    ends = [page.offset_bytes + 2 * HEIGHT * WIDTH for page in write(path, 4)]
    whole = path.read_bytes()
    for size in sorted({*range(len(HEADER), len(whole), 29), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends)
        assert repair_live_stack(path) == complete
        if complete:
            assert path.stat().st_size == ends[complete - 1]
            assert repair_live_stack(path) == complete
    assert_holds(path, 4)
    path.write_bytes(whole[: ends[2] - 1])
    repair_live_stack(path)
    assert_holds(path, 2)


def test_bytes_behind_the_last_page_are_cut_away(path: Path) -> None:
    """A kill within a page: nothing links to what had been written of it."""
    last = write(path, 3)[-1]
    with path.open("ab") as file:
        file.write(b"half a page")
    assert_holds(path, 3)
    assert repair_live_stack(path) == 3
    assert path.stat().st_size == last.offset_bytes + 2 * HEIGHT * WIDTH
    assert_holds(path, 3)


def test_pages_that_never_reached_the_disk_are_cut_away(path: Path) -> None:
    """A power failure: the file has its length and its links, but the last page is a hole."""
    written = write(path, 4)
    with path.open("r+b") as file:
        file.seek(aligned(written[2].offset_bytes + 2 * HEIGHT * WIDTH))
        file.write(bytes(PAGE_BYTES))
    assert repair_live_stack(path) == 3
    assert_holds(path, 3)


@pytest.mark.parametrize("size", [0, 7, 16, 30, 300])
def test_without_a_complete_page_nothing_is_touched(path: Path, size: int) -> None:
    write(path, 1)
    data = path.read_bytes()[:size]
    path.write_bytes(data)
    assert repair_live_stack(path) == 0
    assert path.read_bytes() == data


def test_a_stack_that_is_being_written_is_not_repaired(path: Path) -> None:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        writer.append(frame(0))
        with pytest.raises(StackError, match="is still being written; nothing has been changed"):
            repair_live_stack(path)
        writer.append(frame(1))
    assert repair_live_stack(path) == 2


@pytest.mark.parametrize("options", [{"bigtiff": True}, {}, {"bigtiff": True, "byteorder": ">"}], ids=str)
def test_files_of_others_are_left_alone(path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(path, np.stack([frame(i) for i in range(3)]), photometric="minisblack", **options)
    with path.open("ab") as file:
        file.write(b"something precious behind the last page")
    before = path.read_bytes()
    with pytest.raises(StackError, match="was not recorded by locstream"):
        repair_live_stack(path)
    assert path.read_bytes() == before
    path.write_bytes(b"no picture at all, and long enough")
    with pytest.raises(StackError, match="not a TIFF"):
        repair_live_stack(path)
    with pytest.raises(StackError, match="cannot be opened"):
        repair_live_stack(path.with_name("nothing"))


def test_a_disk_that_fails_while_it_is_mended(path: Path, failing: Callable[[int], FailingDisk]) -> None:
    write(path, 3)
    path.write_bytes(path.read_bytes()[:-3])
    failing(errno.EIO).quota = 0
    with pytest.raises(StackError, match="cannot be repaired: the disk reports a failure") as trouble:
        repair_live_stack(path)
    assert "2 frames are complete" in trouble.value.safe


# --- layout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [16, 4096 - 16, 123_456 * 16])
@pytest.mark.parametrize("first", [True, False])
def test_links_lie_where_one_write_is_one_write(at: int, first: bool) -> None:
    head, link_at = directory(at, HEIGHT, WIDTH, first=first)
    assert link_at % 8 == 0
    assert FIRST_LINK_AT % 8 == 0
    assert (at + len(head)) % 16 == 0
    assert head[link_at - at : link_at - at + 8] == bytes(8)


def test_tags_are_sorted_as_the_standard_asks() -> None:
    for first in (True, False):
        head, _ = directory(16, HEIGHT, WIDTH, first=first)
        (count,) = struct.unpack_from("<Q", head)
        codes = [struct.unpack_from("<H", head, 8 + 20 * i)[0] for i in range(count)]
        assert codes == sorted(set(codes))


def test_a_stack_may_be_larger_than_four_gigabytes(path: Path) -> None:
    head, link_at = directory(2**33, HEIGHT, WIDTH, first=False)
    assert struct.pack("<Q", 2**33 + len(head)) in head
    assert link_at > 2**33
