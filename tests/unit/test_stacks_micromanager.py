"""Micro-Manager's stacks and its notes, whole and broken off."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from locstream.errors import StackError
from locstream.stacks.micromanager import describe_micromanager, json_object
from locstream.stacks.tiff import open_tiff

SUMMARY = {
    "MicroManagerVersion": "2.0.1",
    "PixelSize_um": 0.108,
    "Interval_ms": 20.0,
    "Frames": 6,
    "Slices": 1,
    "Channels": 1,
    "Date": "2024-05-06",
}
FRAME = {"Exposure-ms": 19.5, "Camera": "Andor sCMOS", "ROI": "384-512-17-12", "BitDepth": 16, "PixelSizeUm": 0.107}


def write_stack(
    path: Path,
    frames: npt.NDArray[np.uint16],
    *,
    summary: dict[str, Any] | None = None,
    descriptions: tuple[str, ...] = (),
    ends: bool = True,
) -> None:
    """Write what Micro-Manager writes: summary behind the header, then page by page directory, pixels, JSON.

    With `ends` False the last page links to the place where the next would have come, as after a crash.
    """
    note = json.dumps(summary or SUMMARY).encode() + b"\0"
    data = bytearray(struct.pack("<2sHI", b"II", 42, 0) + struct.pack("<8I", *(0,) * 6, 2355492, len(note)) + note)
    link_at = 4
    for i, frame in enumerate(frames):
        start = (len(data) + 1) // 2 * 2
        data.extend(bytes(start - len(data)))
        struct.pack_into("<I", data, link_at, start)
        texts = [text.encode() + b"\0" for text in descriptions] if i == 0 else []
        meta = json.dumps(FRAME | {"FrameIndex": i}).encode() + b"\0"
        entries = 8 + len(texts)
        pixels_at = start + 2 + 12 * entries + 4
        behind = pixels_at + frame.nbytes
        fields = [(256, 4, 1, frame.shape[1]), (257, 4, 1, frame.shape[0]), (258, 3, 1, 16), (259, 3, 1, 1)]
        blobs = [*texts, meta]
        places = [behind + sum(map(len, blobs[:k])) for k in range(len(blobs))]
        fields += [(270, 2, len(text), place) for text, place in zip(texts, places, strict=False)]
        fields += [(273, 4, 1, pixels_at), (278, 4, 1, frame.shape[0]), (279, 4, 1, frame.nbytes)]
        fields += [(51123, 2, len(meta), places[-1])]
        data += struct.pack("<H", entries) + b"".join(struct.pack("<HHII", *f) for f in fields)
        link_at = len(data)
        data += bytes(4) + frame.astype("<u2").tobytes() + b"".join(blobs)
    if not ends:
        struct.pack_into("<I", data, link_at, len(data) + 2)
    path.write_bytes(data)


@pytest.fixture
def frames() -> npt.NDArray[np.uint16]:
    return np.random.default_rng(2).integers(0, 65536, (6, 12, 17), np.uint16)


def read_all(path: Path) -> npt.NDArray[np.uint16]:
    stack = open_tiff(path)
    images = np.stack([stack.read(i) for i in range(len(stack))])
    stack.close()
    return images


def ome(name: str, files: dict[str, int], *, size_t: int, uuids: dict[str, str] | None = None, root: str = "") -> str:
    """OME-XML as Micro-Manager writes it: every plane with the file it is in."""
    planes, t = [], 0
    for file, count in files.items():
        for ifd in range(count):
            uuid = f'<UUID FileName="{file}">{(uuids or {}).get(file, "")}</UUID>'
            planes.append(f'<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="{ifd}" PlaneCount="1">{uuid}</TiffData>')
            t += 1
    pixels = (
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="17" SizeY="12" SizeZ="1" SizeC="1" '
        f'SizeT="{size_t}" PhysicalSizeX="0.108" PhysicalSizeY="0.108">{"".join(planes)}</Pixels>'
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06" '
        f'UUID="{root}"><Image ID="Image:0" Name="{name}">{pixels}</Image></OME>'
    )


def test_a_crashed_stack_is_read_and_described(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a_MMStack_Pos0.ome.tif"
    write_stack(path, frames[:4], ends=False)
    np.testing.assert_array_equal(read_all(path), frames[:4])
    info = open_tiff(path).info
    assert (info.camera, info.exposure_ms, info.interval_ms, info.bit_depth) == ("Andor sCMOS", 19.5, 20.0, 16)
    assert info.pixel_size_nm == pytest.approx(107)
    assert (info.roi_x, info.roi_y) == (384, 512)
    assert info.details["MicroManagerVersion"] == "2.0.1"
    assert len(info.warnings) == 1
    assert "4 complete frames of the 6 announced" in info.warnings[0]


def test_a_crash_in_the_middle_of_a_page(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.ome.tif"
    write_stack(path, frames)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 300)  # within the pixels of the last page
    np.testing.assert_array_equal(read_all(path), frames[:5])
    assert "the pixels of page 5 are not all there" in open_tiff(path).info.warnings[0]


def test_the_first_of_two_descriptions_counts(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    path = tmp_path / "a.ome.tif"
    name = path.name
    both = (ome("x", {name: 6}, size_t=6), "ImageJ=1.52p\nimages=6\nchannels=3\nframes=2\n")
    write_stack(path, frames, descriptions=both)
    np.testing.assert_array_equal(read_all(path), frames)
    info = open_tiff(path).info
    assert info.warnings == ()
    assert info.pixel_size_nm == pytest.approx(108)
    assert info.exposure_ms == 19.5
    assert info.details["Format"] == "OME-TIFF"


@pytest.mark.parametrize("opened", [0, 1])
def test_a_stack_split_over_two_files_is_one_stack(tmp_path: Path, frames: npt.NDArray[np.uint16], opened: int) -> None:
    names = ("a_MMStack_Pos0.ome.tif", "a_MMStack_Pos0_1.ome.tif")
    text = ome("x", {names[0]: 4, names[1]: 2}, size_t=6)
    for name, part in zip(names, (frames[:4], frames[4:]), strict=True):
        write_stack(tmp_path / name, part, descriptions=(text,))
    stack = open_tiff(tmp_path / names[opened])
    assert stack.info.warnings == ()
    assert stack.info.details["Files"] == ", ".join(names)
    for i in (5, 0, 3, 4, 1, 2):
        np.testing.assert_array_equal(stack.read(i), frames[i])
    with pytest.raises(StackError, match="no frame 6"):
        stack.read(6)
    stack.close()
    stack.close()
    with pytest.raises(StackError, match="closed"):
        stack.read(0)


def test_a_missing_part_is_named_and_the_rest_is_read(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    names = ("a.ome.tif", "a_1.ome.tif", "a_2.ome.tif")
    text = ome("x", dict.fromkeys(names, 2), size_t=6)
    for i in (0, 2):
        write_stack(tmp_path / names[i], frames[2 * i : 2 * i + 2], descriptions=(text,))
    np.testing.assert_array_equal(read_all(tmp_path / names[0]), frames[[0, 1, 4, 5]])
    assert open_tiff(tmp_path / names[0]).info.warnings == (
        "a_1.ome.tif, one of the 3 files of the stack, is missing",
        "a.ome.tif announces 6 frames but holds 4: all are read",
    )


def test_a_part_with_frames_of_another_shape_is_refused(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    names = ("a.ome.tif", "a_1.ome.tif")
    text = ome("x", dict.fromkeys(names, 2), size_t=4)
    write_stack(tmp_path / names[0], frames[:2], descriptions=(text,))
    write_stack(tmp_path / names[1], frames[:2, :8], descriptions=(text,))
    with pytest.raises(StackError, match=r"page 0 of a_1.ome.tif is 17 × 8 px"):
        open_tiff(tmp_path / names[0])


def test_a_renamed_file_knows_itself_by_its_uuid(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    text = ome("x", {"old.ome.tif": 6}, size_t=6, uuids={"old.ome.tif": "urn:uuid:1"}, root="urn:uuid:1")
    write_stack(tmp_path / "new.ome.tif", frames, descriptions=(text,))
    np.testing.assert_array_equal(read_all(tmp_path / "new.ome.tif"), frames)
    assert open_tiff(tmp_path / "new.ome.tif").info.warnings == ()


def test_names_in_the_metadata_cannot_lead_out_of_the_folder(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    (tmp_path / "in").mkdir()
    write_stack(tmp_path / "b.ome.tif", frames[4:])
    for outside in ("../b.ome.tif", str(tmp_path / "b.ome.tif"), r"C:\data\b.ome.tif"):
        text = ome("x", {"a.ome.tif": 4, outside: 2}, size_t=6)
        write_stack(tmp_path / "in" / "a.ome.tif", frames[:4], descriptions=(text,))
        assert open_tiff(tmp_path / "in" / "a.ome.tif").info.warnings[0].startswith("b.ome.tif, one of the 2 files")


def test_a_continuation_that_is_not_named_is_pointed_out(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    write_stack(tmp_path / "a_MMStack_Pos0.ome.tif", frames[:4], ends=False)
    write_stack(tmp_path / "a_MMStack_Pos0_1.ome.tif", frames[4:])
    warnings = open_tiff(tmp_path / "a_MMStack_Pos0.ome.tif").info.warnings
    assert any("goes on in a_MMStack_Pos0_1.ome.tif" in w for w in warnings)


def test_several_channels_are_refused(tmp_path: Path, frames: npt.NDArray[np.uint16]) -> None:
    write_stack(tmp_path / "a.tif", frames, summary=SUMMARY | {"Channels": 2, "Frames": 3})
    with pytest.raises(StackError, match="3 frames × 2 channels"):
        open_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("length", [0, 2**32 - 1])
def test_a_summary_that_is_not_there_is_no_summary(tmp_path: Path, frames: npt.NDArray[np.uint16], length: int) -> None:
    path = tmp_path / "a.tif"
    write_stack(path, frames)
    with path.open("r+b") as file:
        file.seek(36)
        file.write(struct.pack("<I", length))
    np.testing.assert_array_equal(read_all(path), frames)


# --- the JSON itself -----------------------------------------------------------------------------------------------


def test_zero_means_not_known() -> None:
    found = describe_micromanager({"PixelSize_um": 0, "Interval_ms": 0, "Frames": 0, "Channels": 0}, {"ROI": ""})
    assert found.pixel_size_nm is None
    assert found.interval_ms is None
    assert found.axes == {}
    assert found.roi_x is None


def test_nonsense_values_are_no_statement() -> None:
    found = describe_micromanager(
        {"PixelSize_um": "big", "Interval_ms": -5, "Frames": True, "Slices": [3], "Channels": float("nan")},
        {"Exposure-ms": None, "BitDepth": 12.5, "ROI": "a-b-c-d", "Camera": None},
    )
    assert (found.pixel_size_nm, found.interval_ms, found.exposure_ms, found.bit_depth) == (None,) * 4
    assert found.axes == {}
    assert found.camera == ""


@pytest.mark.parametrize("lost", [0, 1, 3, 40])
def test_json_that_breaks_off_gives_its_complete_objects(lost: int) -> None:
    text = json.dumps({"Summary": SUMMARY, "FrameKey-0-0-0": FRAME, "FrameKey-1-0-0": FRAME}, indent=3)
    text = text[: len(text) - lost]
    assert json_object(text, "Summary") == SUMMARY
    assert json_object(text, r"FrameKey-\d+-\d+-\d+") == FRAME


def test_json_that_breaks_off_too_early_or_is_none_gives_nothing() -> None:
    text = json.dumps({"Summary": SUMMARY})
    assert json_object(text[:30], "Summary") == {}
    assert json_object("", "Summary") == {}
    assert json_object("[1, 2]") == {}
    assert json_object('{"a":' * 5000) == {}
