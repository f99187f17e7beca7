"""Which reader a file gets, and what is said of files that none can read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks import open as opening
from locstream.stacks.open import FORMATS, open_stack


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    for name in ("a.dat", "b", "c.dax", "d.csv"):
        tifffile.imwrite(tmp_path / name, np.ones((2, 5, 6), np.uint16), photometric="minisblack")
        stack = open_stack(tmp_path / name)
        assert len(stack) == 2
        stack.close()
    with (tmp_path / "e.tif").open("wb") as file:
        np.save(file, np.ones((3, 5, 6), np.uint16))
    stack = open_stack(tmp_path / "e.tif")
    assert len(stack) == 3
    stack.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xac\xed\x00\x05sr\x00", "a serialised Java object"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (b"PK\x03\x04" + bytes(40), "a zip archive; unpack it first"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
        (b"frame,x [nm],y [nm]\n1,2,3\n", "text that begins with 'frame,x [nm],y [nm]'"),
        ("größe; µm\n".encode() * 60, "text that begins with 'größe; µm'"),
        (
            b"\x01\x02\x03\x04\x05\x06\x07\x08\x09",
            "an unknown format (it begins with the bytes 01 02 03 04 05 06 07 08)",
        ),
        (b"\0", "an unknown format (it begins with the bytes 00)"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "frames.ser"
    path.write_bytes(content)
    with pytest.raises(StackError) as refusal:
        open_stack(path)
    assert words in refusal.value.what
    assert str(path) in refusal.value.what
    for stack_format in FORMATS:
        assert stack_format.name in refusal.value.todo


def test_a_path_to_nothing_names_the_part_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="there is nothing at") as refusal:
        open_stack(tmp_path / "no" / "such" / "stack.tif")
    assert f"{tmp_path} is there" in refusal.value.todo


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(StackError, match="is empty"):
        open_stack(tmp_path / "a.tif")


def test_what_is_neither_file_nor_folder() -> None:
    with pytest.raises(StackError, match="neither a file nor a folder"):
        open_stack(Path("/dev/null"))


def test_a_loop_of_links_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(StackError):
        open_stack(tmp_path / "a.tif")


def test_a_folder_without_frames_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="a folder without frames; it holds nothing"):
        open_stack(tmp_path)
    for name in ("a.png", "b.png", "c.txt", "d"):
        (tmp_path / name).touch()
    with pytest.raises(StackError, match=r"it holds 2 × .png, 1 × .txt, 1 × no extension|it holds 2 × .png"):
        open_stack(tmp_path)


def test_a_folder_of_positions_points_to_them(tmp_path: Path) -> None:
    for position in ("Pos0", "Pos1"):
        (tmp_path / position).mkdir()
        tifffile.imwrite(tmp_path / position / "img_000000000_Eos_000.tif", np.ones((5, 6), np.uint16))
    with pytest.raises(StackError, match="Pos0, Pos1 in it hold some: open one of them"):
        open_stack(tmp_path)
    assert len(open_stack(tmp_path / "Pos1")) == 1


# --- plug-ins ------------------------------------------------------------------------------------------------------


PLUGIN = """
import numpy as np
from locstream.stacks.open import StackFormat
from locstream.stacks.source import SourceInfo

class OneBlackFrame:
    info = SourceInfo(camera="none", width=3, height=2, frames=1)
    def __len__(self):
        return 1
    def read(self, index):
        return np.zeros((2, 3), np.uint16)
    def close(self):
        pass

FORMAT = StackFormat("black frames (.blk)", lambda path, head: head.startswith(b"BLACK"), lambda path: OneBlackFrame())
NO_FORMAT = 3
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that installs entry points; a package with one format is there to be named."""
    (tmp_path / "black_frames_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "black_frames_plugin", raising=False)

    def install(**values: str) -> None:
        points = EntryPoints(EntryPoint(name, value, opening.PLUGIN_GROUP) for name, value in values.items())
        monkeypatch.setattr(opening, "entry_points", points.select)

    return install


def test_a_plug_in_reads_what_nobody_else_can(
    tmp_path: Path, offer: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    offer(black="black_frames_plugin:FORMAT")
    (tmp_path / "a.blk").write_bytes(b"BLACK")
    assert open_stack(tmp_path / "a.blk").info.camera == "none"
    assert not caplog.records
    (tmp_path / "a.other").write_bytes(b"WHITE")
    with pytest.raises(StackError) as refusal:
        open_stack(tmp_path / "a.other")
    assert "black frames (.blk)" in refusal.value.todo


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a_package_that_is_not_there:X", "cannot be loaded: ModuleNotFoundError"),
        ("black_frames_plugin:NO_SUCH_NAME", "cannot be loaded: AttributeError"),
        ("black_frames_plugin:NO_FORMAT", "is no StackFormat but int"),
    ],
)
def test_a_broken_plug_in_is_reported_and_stops_nobody(
    tmp_path: Path, offer: Callable[..., None], caplog: pytest.LogCaptureFixture, value: str, words: str
) -> None:
    offer(broken=value, black="black_frames_plugin:FORMAT")
    (tmp_path / "a.other").write_bytes(b"WHITE")
    with pytest.raises(StackError) as refusal:
        open_stack(tmp_path / "a.other")
    assert f"the plug-in broken ({value}) {words}" in refusal.value.what
    (tmp_path / "a.blk").write_bytes(b"BLACK")
    caplog.clear()
    assert open_stack(tmp_path / "a.blk").info.camera == "none"
    assert words in caplog.text


def test_a_broken_plug_in_is_not_even_loaded_for_our_own_formats(
    tmp_path: Path, offer: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    offer(broken="a_package_that_is_not_there:X")
    tifffile.imwrite(tmp_path / "a.tif", np.ones((5, 6), np.uint16))
    open_stack(tmp_path / "a.tif").close()
    assert not caplog.records
