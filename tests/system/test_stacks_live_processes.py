"""The live stack between processes: a writer that is killed, a reader that looks on, a disk that is full."""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks.live import LiveStackWriter, read_page
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.ome import StackMetadata, finalize_ome_tiff
from locstream.stacks.open import open_stack
from locstream.stacks.source import SourceInfo

pytestmark = pytest.mark.system

SIDE = 200
REPORT = struct.Struct("<QQ")

WRITER = """
import struct, sys
import numpy as np
from pathlib import Path
from locstream.stacks.live import LiveStackWriter

side, most = int(sys.argv[2]), int(sys.argv[3])
pixels = np.arange(side * side, dtype=np.uint16).reshape(side, side)
with LiveStackWriter(Path(sys.argv[1]), side, side) as writer:
    for i in range(most):
        written = writer.append(pixels + np.uint16(i * 7919 % 65536))
        sys.stdout.buffer.write(struct.pack("<QQ", written.index, written.offset_bytes))
        sys.stdout.buffer.flush()
    sys.stdin.read()
"""


def frame(index: int) -> npt.NDArray[np.uint16]:
    pixels = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    return pixels + np.uint16(index * 7919 % 65536)


def start_writer(path: Path, most: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), str(SIDE), str(most)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def reports(data: bytes) -> list[tuple[int, int]]:
    whole = len(data) // REPORT.size * REPORT.size
    return list(REPORT.iter_unpack(data[:whole]))


def assert_read_by_tifffile(path: Path) -> int:
    """Every page that tifffile finds is complete; return how many there are."""
    with tifffile.TiffFile(path) as tiff:
        for i, page in enumerate(tiff.pages):
            np.testing.assert_array_equal(page.asarray(), frame(i))
        return len(tiff.pages)


@pytest.mark.parametrize("trial", range(16))
def test_a_killed_writer_leaves_every_page_it_reported(tmp_path: Path, trial: int) -> None:
    path = tmp_path / "a.live.tif"
    writer = start_writer(path, most=4000)  # so many reports fit into the pipe
    assert writer.stdout is not None
    try:
        first = writer.stdout.read(REPORT.size)
        time.sleep(random.Random(trial).uniform(0, 0.012))
    finally:
        writer.kill()
        rest, _ = writer.communicate()
    written = reports(first + rest)
    assert [index for index, _ in written] == list(range(len(written)))

    found = assert_read_by_tifffile(path)
    assert found - len(written) in (0, 1)  # it may have been killed between the page and the report
    for index, offset in written:
        np.testing.assert_array_equal(read_page(path, offset, SIDE, SIDE), frame(index))
    stack = open_stack(path)
    assert len(stack) == found
    assert stack.info.warnings == ()
    stack.close()

    assert repair_live_stack(path) == found
    assert assert_read_by_tifffile(path) == found
    final = tmp_path / "a.ome.tif"
    finalize_ome_tiff(path, final, StackMetadata(SourceInfo(camera="x", width=SIDE, height=SIDE, pixel_size_nm=100)))
    with tifffile.TiffFile(final) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].get_shape(squeeze=False)[0] == found
    assert assert_read_by_tifffile(final) == found


def test_a_reader_that_looks_on_sees_complete_pages_only(tmp_path: Path) -> None:
    path = tmp_path / "a.live.tif"
    writer = start_writer(path, most=1500)
    assert writer.stdout is not None
    try:
        seen = reports(writer.stdout.read(REPORT.size))
        counts = []
        while len(seen) < 1500:
            seen += reports(os.read(writer.stdout.fileno(), 64 * REPORT.size))
            index, offset = seen[-1]
            np.testing.assert_array_equal(read_page(path, offset, SIDE, SIDE), frame(index))
            stack = open_stack(path)
            assert stack.info.warnings == ()
            assert len(stack) > index
            np.testing.assert_array_equal(stack.read(len(stack) - 1), frame(len(stack) - 1))
            counts.append(len(stack))
            stack.close()
            with pytest.raises(StackError, match="still being written"):
                repair_live_stack(path)
    finally:
        writer.communicate(b"")
    assert writer.returncode == 0
    assert counts == sorted(counts)
    assert assert_read_by_tifffile(path) == 1500


# --- a full disk ---------------------------------------------------------------------------------------------------


def fill(path: Path, most: int = 1000) -> tuple[int, StackError]:
    """Write frames until the disk refuses one; return how many were taken and what was said."""
    with LiveStackWriter(path, SIDE, SIDE) as writer:
        for i in range(most):
            try:
                writer.append(frame(i))
            except StackError as e:
                return i, e
    pytest.fail(f"the disk took all {most} frames")


def assert_all_safe(path: Path, taken: int) -> None:
    assert taken > 0
    assert assert_read_by_tifffile(path) == taken
    stack = open_stack(path)
    assert (len(stack), stack.info.warnings) == (taken, ())
    stack.close()
    assert repair_live_stack(path) == taken


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk; the limit on the file size stands for it below")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_every_complete_page(small_disk: Path) -> None:
    path = small_disk / "a.live.tif"
    taken, trouble = fill(path)
    assert "the disk is full" in trouble.what
    assert f"{taken} frames are complete" in trouble.safe
    assert "free space" in trouble.todo
    assert_all_safe(path, taken)
    with pytest.raises(StackError, match=r"exists already"):
        LiveStackWriter(path, SIDE, SIDE)


def test_a_full_disk_cannot_finish_but_loses_nothing(small_disk: Path) -> None:
    path, final = small_disk / "a.live.tif", small_disk / "a.ome.tif"
    stuffing = small_disk / "stuffing"
    stuffing.write_bytes(bytes(200_000))
    taken, _ = fill(path)
    info = StackMetadata(SourceInfo(camera="x", width=SIDE, height=SIDE), annotations={"long": "x" * 100_000})
    with pytest.raises(StackError, match="the disk is full") as trouble:
        finalize_ome_tiff(path, final, info)
    assert str(path) in trouble.value.safe
    assert_all_safe(path, taken)
    stuffing.unlink()
    finalize_ome_tiff(path, final, info)
    assert assert_read_by_tifffile(final) == taken


LIMITED = """
import json, resource, sys
from pathlib import Path
import numpy as np
from locstream.errors import StackError
from locstream.stacks.live import LiveStackWriter

side = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
pixels = np.arange(side * side, dtype=np.uint16).reshape(side, side)
with LiveStackWriter(Path(sys.argv[1]), side, side) as writer:
    try:
        for i in range(1000):
            writer.append(pixels + np.uint16(i * 7919 % 65536))
    except StackError as e:
        print(json.dumps([writer.pages, e.what, e.safe, e.todo]))
"""


@pytest.mark.parametrize("limit", [300_000, 80_400 * 4, 80_700])
def test_a_file_that_may_grow_no_more_keeps_every_complete_page(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "a.live.tif"
    command = [sys.executable, "-c", LIMITED, str(path), str(SIDE), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    taken, what, safe, todo = json.loads(done.stdout)
    assert "no larger file is possible there" in what
    assert f"{taken} frames are complete" in safe
    assert todo
    assert path.stat().st_size <= limit
    assert_all_safe(path, taken)
