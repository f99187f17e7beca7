"""A stack whose writer has died goes on behind its last complete page: nothing twice, nothing lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.errors import StackError
from locstream.stacks import live_repair
from locstream.stacks.disk import StackInUseError
from locstream.stacks.live import LiveStackWriter, read_page
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.live_page import HEADER, PageWritten
from locstream.stacks.live_repair import being_written
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image

HEIGHT, WIDTH = 5, 7


def frame(index: int) -> Image:
    return np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + np.uint16(1000 * index % 65536)


def number(index: int) -> int:
    return 2 * index


def append(writer: LiveStackWriter, indices: range) -> list[PageWritten]:
    return [writer.append(frame(i), number(i), 100.0 + i) for i in indices]


def write(path: Path, pages: int) -> list[PageWritten]:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        return append(writer, range(pages))


def assert_holds(path: Path, pages: int) -> None:
    info = read_pages_info(path)
    assert info.numbers.tolist() == [number(i) for i in range(pages)]
    assert info.times_s.tolist() == [100.0 + i for i in range(pages)]
    stack = open_stack(path)
    assert (len(stack), stack.info.warnings) == (pages, ())
    for i in range(pages):
        np.testing.assert_array_equal(stack.read(i), frame(i))
    stack.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.live.tif"


@pytest.mark.parametrize(
    ("pages", "reported"), [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (5, 0), (5, 1), (5, 3), (5, 5)]
)
def test_pages_that_were_not_reported_are_found_and_it_goes_on(path: Path, pages: int, reported: int) -> None:
    written = write(path, pages)
    after = written[reported - 1] if reported else None
    writer, found = LiveStackWriter.resume(path, HEIGHT, WIDTH, after=after)
    with writer:
        assert found == written[reported:]
        assert writer.pages == pages
        (new,) = append(writer, range(pages, pages + 1))
        assert new.index == pages
        np.testing.assert_array_equal(read_page(path, new.offset_bytes, HEIGHT, WIDTH), frame(pages))
        append(writer, range(pages + 1, pages + 4))
    assert_holds(path, pages + 4)


def test_the_file_is_the_one_that_one_writer_would_have_made(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.live.tif"
    write(whole, 9)
    write(path, 4)
    writer, _ = LiveStackWriter.resume(path, HEIGHT, WIDTH)
    with writer:
        append(writer, range(4, 9))
    assert path.read_bytes() == whole.read_bytes(), "also its alignment, on which the safety of a link rests"


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.data())
def test_cut_off_anywhere_it_goes_on(tmp_path_factory: pytest.TempPathFactory, pages: int, data: st.DataObject) -> None:
    """Whatever a kill or a power cut has left of the file, it goes on behind the complete pages."""
    path = tmp_path_factory.mktemp("cut") / "a.live.tif"
    written = write(path, pages)
    ends = [page.offset_bytes + frame(0).nbytes for page in written]
    size = data.draw(st.integers(0, path.stat().st_size), label="size")
    with path.open("r+b") as file:
        file.truncate(size)
    complete = sum(end <= size for end in ends)
    reported = data.draw(st.integers(0, complete), label="reported")
    writer, found = LiveStackWriter.resume(path, HEIGHT, WIDTH, after=written[reported - 1] if reported else None)
    with writer:
        assert found == written[reported:complete]
        append(writer, range(complete, complete + 2))
    assert_holds(path, complete + 2)


def test_half_a_page_is_cut_away(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b"half a page")
    writer, _ = LiveStackWriter.resume(path, HEIGHT, WIDTH)
    with writer:
        append(writer, range(2, 3))
    assert_holds(path, 3)


@pytest.mark.parametrize("content", [b"", HEADER[:7], HEADER, HEADER + b"half of the first page"])
def test_a_writer_that_died_before_its_first_page(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    writer, found = LiveStackWriter.resume(path, HEIGHT, WIDTH)
    with writer:
        assert (writer.pages, found) == (0, [])
        append(writer, range(3))
    assert_holds(path, 3)


def test_numbers_go_on_where_they_were(path: Path) -> None:
    write(path, 3)
    writer, _ = LiveStackWriter.resume(path, HEIGHT, WIDTH)
    with writer:
        with pytest.raises(StackError, match="frame 4 came after frame 4"):
            writer.append(frame(3), 4)
        writer.append(frame(3))
    assert read_pages_info(path).numbers.tolist() == [0, 2, 4, 5]


def test_only_what_is_behind_the_reported_page_is_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write(path, 400)
    looked: list[int] = []
    pages_of = live_repair.complete_pages

    def note(tiff: object, begin: int = 0) -> object:
        for page in pages_of(tiff, begin):  # type: ignore[arg-type]  # the same as it is given
            looked.append(page.ifd.offset)
            yield page

    monkeypatch.setattr(live_repair, "complete_pages", note)
    writer, found = LiveStackWriter.resume(path, HEIGHT, WIDTH, after=written[-3])
    writer.close()
    assert len(found) == 2
    assert len(looked) == 4, "the first page, for what file it is, the reported one and the two behind it"


def test_a_reported_page_that_is_not_there_stops_it(path: Path) -> None:
    """The file is not the one that was being written: somebody has put another in its place."""
    write(path, 3)
    before = path.read_bytes()
    for after in (PageWritten(1, 5000), PageWritten(1, 320), PageWritten(7, 10**9)):
        with pytest.raises(StackError, match=f"no page {after.index} where it was written"):
            LiveStackWriter.resume(path, HEIGHT, WIDTH, after=after)
    assert path.read_bytes() == before


def test_frames_of_another_shape_stop_it(path: Path) -> None:
    write(path, 2)
    with pytest.raises(StackError, match="holds frames of 7 × 5 px"):
        LiveStackWriter.resume(path, WIDTH, HEIGHT)


def test_nothing_goes_on_that_is_not_there_or_not_ours(path: Path) -> None:
    with pytest.raises(StackError, match="cannot be opened"):
        LiveStackWriter.resume(path, HEIGHT, WIDTH)
    path.write_bytes(b"something else altogether, and precious")
    with pytest.raises(StackError, match="not a TIFF"):
        LiveStackWriter.resume(path, HEIGHT, WIDTH)
    assert path.read_bytes() == b"something else altogether, and precious"


def test_a_writer_that_lives_is_left_alone(path: Path) -> None:
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        append(writer, range(2))
        assert being_written(path)
        with pytest.raises(StackInUseError, match="still being written"):
            LiveStackWriter.resume(path, HEIGHT, WIDTH)
        append(writer, range(2, 3))
    assert not being_written(path)
    assert_holds(path, 3)


def test_what_was_resumed_holds_the_lock(path: Path) -> None:
    write(path, 1)
    writer, _ = LiveStackWriter.resume(path, HEIGHT, WIDTH)
    with writer:
        assert being_written(path)
    assert not being_written(path)


def test_found_pages_are_waited_for_where_it_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are about to be reported as being on the platter."""
    write(path, 2)
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    writer, _ = LiveStackWriter.resume(path, HEIGHT, WIDTH, fsync=True)
    writer.close()
    assert len(waited) == 1


def test_a_disk_that_fails_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b"half a page")

    def fail(fd: int, data: object, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(StackError, match="the disk reports a failure") as trouble:
        LiveStackWriter.resume(path, HEIGHT, WIDTH)
    assert "2 frames are complete" in trouble.value.safe
