"""The mark of a writer that was killed goes, and nothing else changes."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.results.file import ResultsWriter
from locstream.results.layout import live_path
from locstream.results.lock import FileInUseError
from locstream.results.repair import lookup3, repair
from results_example import batch, header


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The bytes on disk at a moment while the writer had the file open: what a kill leaves."""
    path = live_path(tmp_path, "run")
    with ResultsWriter(path, header()) as writer:
        writer.append(*batch(0, 300))
        content = path.read_bytes()
    path.write_bytes(content)
    return path


def test_lookup3_agrees_with_the_author_s_own_example() -> None:
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    assert lookup3(b"") == 0xDEADBEEF


@pytest.mark.parametrize("length", [1, 11, 12, 13, 24, 25])
def test_lookup3_sees_every_byte(length: int) -> None:
    data = bytes(range(1, length + 1))
    changed = {lookup3(data[:i] + b"\0" + data[i + 1 :]) for i in range(length)}
    assert len(changed | {lookup3(data)}) == length + 1


@pytest.mark.parametrize("libver", [("v110", "v110"), ("v112", "v112"), ("latest", "latest")])
def test_lookup3_is_the_checksum_that_hdf5_writes(tmp_path: Path, libver: tuple[str, str]) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        file["a"] = np.arange(10)
    block = (tmp_path / "a.h5").read_bytes()[:48]
    assert block[8] in (2, 3)
    assert struct.unpack_from("<I", block, 44)[0] == lookup3(block[:44])


def test_a_file_that_was_cut_off_opens_again(left: Path) -> None:
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(left)
    before = left.read_bytes()
    assert repair(left) is True
    after = left.read_bytes()
    assert before[48:] == after[48:]
    with h5py.File(left) as file:
        np.testing.assert_array_equal(file["locstream/frames"][:], batch(0, 300)[1])


def test_done_twice_is_done(left: Path) -> None:
    repair(left)
    content = left.read_bytes()
    assert repair(left) is False
    assert left.read_bytes() == content


def test_the_end_of_the_file_is_its_length_however_old_the_superblock(left: Path) -> None:
    """What `h5clear -s` gets wrong: it would cut the file off at the old end."""
    content = bytearray(left.read_bytes())
    struct.pack_into("<Q", content, 28, 6144)
    struct.pack_into("<I", content, 44, lookup3(bytes(content[:44])))
    left.write_bytes(content)
    assert repair(left)
    assert left.stat().st_size == len(content)
    assert struct.unpack_from("<Q", left.read_bytes(), 28)[0] == len(content)
    with h5py.File(left, "r+") as file:
        assert len(file["locstream/frames"]) == 300


def test_an_end_that_the_file_never_reached_is_set_to_its_length(left: Path) -> None:
    """What is missing is then an error where it is read, and no zeros."""
    repair(left)
    with h5py.File(left) as file:
        chunks = [file["locs"].id.get_chunk_info(n) for n in range(file["locs"].id.get_num_chunks())]
    last = max(chunks, key=lambda chunk: chunk.byte_offset)
    left.write_bytes(left.read_bytes()[: last.byte_offset + 100])
    with pytest.raises(OSError, match="truncated"):
        h5py.File(left)
    assert repair(left) is True
    assert repair(left) is False
    with h5py.File(left) as file:
        assert len(file["locs"][: last.chunk_offset[0]]) == last.chunk_offset[0]
        with pytest.raises(OSError, match="read"):
            file["locs"][last.chunk_offset[0]]


def test_a_closed_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = live_path(tmp_path, "run")
    ResultsWriter(path, header()).close()
    content, time_ns = path.read_bytes(), path.stat().st_mtime_ns
    assert repair(path) is False
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, time_ns)


def test_a_living_writer_s_file_is_not_touched(tmp_path: Path) -> None:
    path = live_path(tmp_path, "run")
    with ResultsWriter(path, header()) as writer:
        writer.append(*batch(0, 10))
        content = path.read_bytes()
        with pytest.raises(FileInUseError, match="being written"):
            repair(path)
        assert path.read_bytes() == content


def spoil(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + bytes([value]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("at", "value", "what"),
    [(0, 0, "not an HDF5 file"), (8, 0, "version 0"), (9, 4, "version 3"), (40, 0xEE, "checksum is wrong")],
)
def test_a_damaged_superblock_is_told_and_left_alone(left: Path, at: int, value: int, what: str) -> None:
    left.write_bytes(spoil(left.read_bytes(), at, value))
    content = left.read_bytes()
    with pytest.raises(ResultsError, match=what):
        repair(left)
    assert left.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n"])
def test_a_file_without_a_superblock_is_told(tmp_path: Path, content: bytes) -> None:
    path = live_path(tmp_path, "run")
    path.write_bytes(content)
    with pytest.raises(ResultsError, match="not an HDF5 file"):
        repair(path)
    with pytest.raises(ResultsError, match="cannot be repaired"):
        repair(live_path(tmp_path, "absent"))
