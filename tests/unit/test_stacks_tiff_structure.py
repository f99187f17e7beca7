"""The chain of pages of a TIFF file, sound and damaged."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from locstream.stacks import tiff_structure as tags
from locstream.stacks.frames_in_file import ReadOnlyFile
from locstream.stacks.tiff_structure import Ifd, NoFrameError, TiffStructure, TornChainError, is_tiff


@pytest.fixture(params=[{"byteorder": b, "bigtiff": big} for b in "<>" for big in (False, True)], ids=str)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Five pages, of several strips each, of every kind of TIFF."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, **request.param) as writer:
        for i in range(5):
            options: dict[str, Any] = {"description": "größer".encode() if i == 0 else None, "software": "me"}
            writer.write(np.full((20, 9), i, np.uint16), rowsperstrip=6, contiguous=False, metadata=None, **options)
    return path


def structure(path: Path) -> TiffStructure:
    return TiffStructure(ReadOnlyFile(path))


def patch(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def walk(tiff: TiffStructure) -> tuple[list[Ifd], str]:
    found: list[Ifd] = []
    try:
        for ifd in tiff.chain():
            found.append(ifd)
            assert len(found) < 100, "the chain does not end"
    except TornChainError as e:
        return found, str(e)
    return found, ""


def test_agrees_with_tifffile(path: Path) -> None:
    tiff = structure(path)
    found, torn = walk(tiff)
    assert not torn
    with tifffile.TiffFile(path) as reference:
        pages = [page.aspage() for page in reference.pages]
        assert [ifd.offset for ifd in found] == [page.offset for page in pages]
        for ifd, page in zip(found, pages, strict=True):
            assert set(ifd.tags) == {tag.code for tag in page.tags}
            assert tiff.segments(ifd) == list(zip(page.dataoffsets, page.databytecounts, strict=True))
            for code in (tags.X_RESOLUTION, tags.ROWS_PER_STRIP, tags.SAMPLE_FORMAT):
                if code in page.tags:
                    expected = page.tags[code].value
                    assert tiff.values(ifd.tags[code]) == (
                        tuple(map(int, expected)) if isinstance(expected, tuple) else (int(expected),)
                    )
    like = tiff.page_format(found[0])
    assert (like.width, like.height, like.bits, like.samples, like.compression) == (9, 20, 16, 1, 1)
    assert like.frame_bytes == 360
    assert tiff.text(found[0], tags.IMAGE_DESCRIPTION) == "größer"
    assert tiff.text(found[1], tags.IMAGE_DESCRIPTION) == ""


def test_entries_and_links_are_where_they_are_said_to_be(path: Path) -> None:
    tiff = structure(path)
    found, _ = walk(tiff)
    data = path.read_bytes()
    size = 8 if tiff.big else 4
    for ifd, follower in zip(found, [*found[1:], None], strict=True):
        link = int.from_bytes(data[ifd.next_at : ifd.next_at + size], "little" if tiff.byteorder == "<" else "big")
        assert link == ifd.next_ifd == (follower.offset if follower else 0)
        for code in ifd.tags:
            at = tiff.entry_at(ifd, code)
            assert struct.unpack_from(tiff.byteorder + "H", data, at) == (code,)


def test_a_chain_that_bites_its_tail_ends(path: Path) -> None:
    tiff = structure(path)
    found, _ = walk(tiff)
    size = 8 if tiff.big else 4
    patch(path, found[3].next_at, found[1].offset.to_bytes(size, "little" if tiff.byteorder == "<" else "big"))
    again, torn = walk(structure(path))
    assert [ifd.offset for ifd in again] == [ifd.offset for ifd in found[:4]]
    assert "comes back" in torn


@pytest.mark.parametrize("target", ["beyond", "hole", "edge"])
def test_a_link_to_no_page_ends_the_chain(path: Path, target: str) -> None:
    tiff = structure(path)
    found, _ = walk(tiff)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size + 4096)  # zeros behind, as a write that never came leaves them
    to = {"beyond": size + 10_000, "hole": size + 16, "edge": size + 4095}[target]
    patch(path, found[2].next_at, to.to_bytes(8 if tiff.big else 4, "little" if tiff.byteorder == "<" else "big"))
    again, torn = walk(structure(path))
    assert len(again) == 3
    assert torn


def test_values_that_lie_beyond_the_end_are_torn_not_invented(path: Path) -> None:
    tiff = structure(path)
    ifd = walk(tiff)[0][0]
    order = "little" if tiff.byteorder == "<" else "big"
    size = 8 if tiff.big else 4
    for code in (tags.STRIP_OFFSETS, tags.IMAGE_DESCRIPTION):
        patch(path, tiff.entry_at(ifd, code) + 4 + size, (path.stat().st_size - 2).to_bytes(size, order))
    tiff = structure(path)
    ifd = next(tiff.chain())
    with pytest.raises(TornChainError):
        tiff.segments(ifd)
    assert tiff.text(ifd, tags.IMAGE_DESCRIPTION) == ""


def test_an_offset_that_no_file_can_have_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**64 - 4) + bytes(64))
    found, torn = walk(structure(path))
    assert not found
    assert torn


def test_a_second_tag_of_the_same_code_does_not_hide_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    entries = [(256, 3, 1, 5), (270, 2, 3, int.from_bytes(b"ab\0\0", "little")), (270, 2, 3, 0), (257, 3, 1, 6)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries)) + body + bytes(4))
    tiff = structure(path)
    ifd = next(tiff.chain())
    assert tiff.text(ifd, 270) == "ab"
    assert tiff.scalar(ifd, 257, 0) == 6
    assert tiff.scalar(ifd, 999, 42) == 42


def test_one_strip_without_its_length_is_as_long_as_the_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    entries = [(256, 3, 1, 5), (257, 3, 1, 6), (258, 3, 1, 16), (273, 4, 1, 100)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries)) + body + bytes(4))
    tiff = structure(path)
    assert tiff.segments(next(tiff.chain())) == [(100, 60)]


@pytest.mark.parametrize("head", [b"", b"II", b"II*", b"II\0*", b"MM*\0", b"\xff\xd8\xff\xe0", b"text, not a picture"])
def test_what_is_no_tiff(tmp_path: Path, head: bytes) -> None:
    assert not is_tiff(head)
    path = tmp_path / "a.tif"
    path.write_bytes(head)
    with pytest.raises(NoFrameError, match="not a TIFF"):
        structure(path)
