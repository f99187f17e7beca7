"""Whatever is written is read back, and nothing else: for every shape, content, byte order and place of a cut."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from locstream.errors import StackError
from locstream.stacks.live import LiveStackWriter, read_page
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.ome import StackMetadata, finalize_ome_tiff
from locstream.stacks.open import open_stack
from locstream.stacks.source import SourceInfo

Frames = npt.NDArray[np.uint16]

sides = st.integers(2, 9)  # tifffile takes an axis of length 1 for none, and writes another shape
stacks_for_tifffile = hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), sides, sides))
stacks = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9))
byteorders = st.sampled_from("<>")
text = st.text(st.characters(), max_size=20)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder for each example; a fixture would be shared by all of them."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def assert_read_back(path: Path, frames: Frames) -> None:
    stack = open_stack(path)
    try:
        assert len(stack) == stack.info.frames == len(frames)
        for i, frame in enumerate(frames):
            image = stack.read(i)
            assert image.dtype == np.uint16
            assert image.dtype.isnative
            assert image.flags.c_contiguous
            np.testing.assert_array_equal(image, frame)
    finally:
        stack.close()


TIFF_KINDS: dict[str, dict[str, Any]] = {
    "tifffile": {},
    "pages only": {"metadata": None},
    "big": {"bigtiff": True},
    "imagej": {"imagej": True},
    "imagej slices": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TYX"}},
    "one page": {"truncate": True},
    "strips": {"rowsperstrip": 2},
    "packed": {"compression": "zlib"},
    "tiles": {"tile": (16, 16)},
}


@pytest.mark.parametrize("kind", TIFF_KINDS)
@given(frames=stacks_for_tifffile, byteorder=byteorders)
@settings(max_examples=25, deadline=None)
def test_tiff(kind: str, frames: Frames, byteorder: str) -> None:
    with folder() as where:
        options = {"photometric": "minisblack", "byteorder": byteorder} | TIFF_KINDS[kind]
        tifffile.imwrite(where / "a.tif", frames, **options)
        assert_read_back(where / "a.tif", frames)


@given(frames=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), sides, sides)), byteorder=byteorders)
@settings(max_examples=25, deadline=None)
def test_tiff_of_8_bits(frames: npt.NDArray[np.uint8], byteorder: str) -> None:
    with folder() as where:
        tifffile.imwrite(where / "a.tif", frames, photometric="minisblack", byteorder=byteorder)
        assert_read_back(where / "a.tif", frames.astype(np.uint16))


@given(frames=stacks_for_tifffile, byteorder=byteorders, first=st.integers(0, 2000), width=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_folder_of_tiffs(frames: Frames, byteorder: str, first: int, width: int) -> None:
    with folder() as where:
        for i, frame in enumerate(frames, start=first):
            path = where / f"run7_{i:0{width}d}.tif"
            tifffile.imwrite(path, frame, photometric="minisblack", byteorder=byteorder)
        assert_read_back(where, frames)


@given(frames=stacks, byteorder=byteorders, announced=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_dax(frames: Frames, byteorder: str, announced: int) -> None:
    count, height, width = frames.shape
    words = {"<": "little", ">": "big"}[byteorder]
    with folder() as where:
        (where / "a.dax").write_bytes(frames.astype(f"{byteorder}u2").tobytes())
        (where / "a.inf").write_text(
            f"data type = 16 bit integers (binary, {words} endian)\n"
            f"frame dimensions = {width} x {height}\nnumber of frames = {announced}\n"
        )
        assert_read_back(where / "a.dax", frames)
        warnings = open_stack(where / "a.dax").info.warnings
        assert (len(warnings) == 0) is (announced == count)
        assert all(str(announced) in w and str(count) in w for w in warnings)


@given(frames=stacks, byteorder=byteorders)
@settings(max_examples=50, deadline=None)
def test_picasso_raw(frames: Frames, byteorder: str) -> None:
    count, height, width = frames.shape
    header = {"Byte Order": byteorder, "Data Type": "uint16", "Frames": count, "Height": height, "Width": width}
    with folder() as where:
        (where / "a.raw").write_bytes(frames.astype(f"{byteorder}u2").tobytes())
        (where / "a.yaml").write_text(yaml.safe_dump(header))
        assert_read_back(where / "a.raw", frames)


@given(frames=stacks, byteorder=byteorders)
@settings(max_examples=50, deadline=None)
def test_npy(frames: Frames, byteorder: str) -> None:
    with folder() as where:
        np.save(where / "a.npy", frames.astype(f"{byteorder}u2"))
        assert_read_back(where / "a.npy", frames)


@given(frames=stacks)
@settings(max_examples=50, deadline=None)
def test_live_stack(frames: Frames) -> None:
    with folder() as where:
        path = where / "a.live.tif"
        with LiveStackWriter(path, *frames.shape[1:]) as writer:
            written = [writer.append(frame) for frame in frames]
            assert_read_back(path, frames)
        for page, frame in zip(written, frames, strict=True):
            np.testing.assert_array_equal(read_page(path, page.offset_bytes, *frame.shape), frame)
        assert repair_live_stack(path) == len(frames)
        np.testing.assert_array_equal(tifffile.imread(path).ravel(), frames.ravel())
        assert_read_back(path, frames)


positive = st.floats(1.0, 1e4)


@given(
    frames=stacks,
    words=st.tuples(text, text, text, text),
    numbers=st.tuples(positive, positive, positive),
    bits=st.integers(1, 16),
    roi=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
)
@settings(max_examples=50, deadline=None)
def test_finished_stack(
    frames: Frames,
    words: tuple[str, str, str, str],
    numbers: tuple[float, float, float],
    bits: int,
    roi: tuple[int, int],
) -> None:
    source = SourceInfo(
        camera=words[0], serial=words[1], width=frames.shape[2], height=frames.shape[1], bit_depth=bits,
        pixel_size_nm=numbers[0], exposure_ms=numbers[1], interval_ms=numbers[2], roi_x=roi[0], roi_y=roi[1],
    )  # fmt: skip
    with folder() as where:
        with LiveStackWriter(where / "a.live.tif", *frames.shape[1:]) as writer:
            for frame in frames:
                writer.append(frame)
        info = StackMetadata(source, name=words[2], description=words[3], times_s=[1.7e9] * len(frames))
        finalize_ome_tiff(where / "a.live.tif", where / "a.ome.tif", info)
        assert_read_back(where / "a.ome.tif", frames)
        back = open_stack(where / "a.ome.tif").info
    assert (back.bit_depth, back.roi_x, back.roi_y, back.warnings) == (bits, *roi, ())
    np.testing.assert_allclose([back.pixel_size_nm, back.exposure_ms, back.interval_ms], numbers, rtol=1e-12)
    if words[0].isprintable():
        assert back.camera == words[0]


# --- damage --------------------------------------------------------------------------------------------------------


def written_stack(kind: str) -> tuple[bytes, Frames]:
    frames = np.random.default_rng(5).integers(1, 65536, (6, 7, 11), np.uint16)
    with folder() as where:
        path = where / "a.tif"
        if kind == "live":
            with LiveStackWriter(path, 7, 11) as writer:
                for frame in frames:
                    writer.append(frame)
        else:
            options = {"photometric": "minisblack"} | TIFF_KINDS[kind]
            tifffile.imwrite(path, frames, **options)
        return path.read_bytes(), frames


DAMAGED = {kind: written_stack(kind) for kind in ("live", "tifffile", "imagej", "ome", "one page", "strips", "packed")}


@pytest.mark.parametrize("kind", DAMAGED)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_cut_anywhere_the_complete_frames_are_read_and_never_a_wrong_one(kind: str, data: st.DataObject) -> None:
    whole, frames = DAMAGED[kind]
    size = data.draw(st.integers(0, len(whole)))
    with folder() as where:
        (where / "a.tif").write_bytes(whole[:size])
        try:
            stack = open_stack(where / "a.tif")
        except StackError:
            return
        assert len(stack) <= len(frames)
        for i in range(len(stack)):
            np.testing.assert_array_equal(stack.read(i), frames[i])
        assert len(stack) == len(frames) or stack.info.warnings or kind == "live"
        stack.close()


@pytest.mark.parametrize("kind", DAMAGED)
@given(changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_garbage_in_a_file_is_refused_or_read_but_never_a_crash(kind: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(DAMAGED[kind][0])
    for at, value in changes:
        content[at % len(content)] = value
    with folder() as where:
        (where / "a.tif").write_bytes(content)
        with contextlib.suppress(StackError):
            stack = open_stack(where / "a.tif")
            try:
                for i in range(min(len(stack), 20)):
                    assert stack.read(i).shape == (stack.info.height, stack.info.width)
            finally:
                stack.close()
