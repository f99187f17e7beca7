"""Folders with one TIFF file for each frame."""

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
from locstream.stacks.open import open_stack


def frame(number: int, shape: tuple[int, int] = (6, 8)) -> npt.NDArray[np.uint16]:
    return np.full(shape, 1000 + number, np.uint16)


def fill(folder: Path, numbers: list[int], name: Callable[[int], str]) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        tifffile.imwrite(folder / name(number), frame(number))


def order_of(folder: Path) -> list[int]:
    """Return the numbers of the frames in the order in which they are read."""
    stack = open_stack(folder)
    images = [stack.read(i) for i in range(len(stack))]
    assert all(image.dtype == np.uint16 and image.shape == (6, 8) for image in images)
    stack.close()
    stack.close()
    return [int(image[0, 0]) - 1000 for image in images]


NAMES: dict[str, Callable[[int], str]] = {
    "micro-manager 1.4": lambda i: f"img_{i:09d}_Eos_000.tif",
    "micro-manager 1.4, channel with digits": lambda i: f"img_{i:09d}_488nm_000.tif",
    "micro-manager 1.4, planes as time": lambda i: f"img_000000000_Default_{i:03d}.tif",
    "micro-manager 2": lambda i: f"img_channel000_position000_time{i:09d}_z000.tif",
    "numbered": lambda i: f"{i:05d}.tif",
    "numbered without zeros": lambda i: f"frame{i}.TIFF",
    "number and time stamp": lambda i: f"run2_{i:04d}_{20240101 + 977 * i}.tif",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, name: Callable[[int], str]) -> None:
    numbers = [0, 1, 2, 9, 10, 11, 3, 4, 5, 6, 7, 8]
    fill(tmp_path / "run", numbers, name)
    assert order_of(tmp_path / "run") == sorted(numbers)
    assert open_stack(tmp_path / "run").info.warnings == ()


def test_other_files_are_no_frames(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fill(folder, [1, 2, 3], NAMES["numbered"])
    for other in ("notes.txt", "Acqusition.xml", "thumbs.db", ".DS_Store", "._00001.tif"):
        (folder / other).write_bytes(b"not a frame")
    (folder / "analysis").mkdir()
    assert order_of(folder) == [1, 2, 3]
    assert open_stack(folder).info.warnings == ()


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ([1, 2, 4, 5], "run has no frame numbered 3 (1 missing); "),
        ([1, 2, 6, 7, 9], "run has no frame numbered 3 … 5, 8 (4 missing); "),
        ([*range(0, 40, 2), 41], "and more"),
        ([0, 10, 20, 40], "run has no frame numbered 30 (1 missing); "),
        ([5, 6, 7], None),
        ([0, 10, 20], None),
        ([3], None),
    ],
)
def test_missing_numbers_are_said_and_the_rest_is_read(
    tmp_path: Path, numbers: list[int], sentence: str | None
) -> None:
    fill(tmp_path / "run", numbers, NAMES["numbered"])
    assert order_of(tmp_path / "run") == numbers
    warnings = open_stack(tmp_path / "run").info.warnings
    assert (len(warnings) == 0) if sentence is None else (len(warnings) == 1 and sentence in warnings[0])


@pytest.mark.parametrize("damage", ["empty", "header", "pixels", "other"])
def test_a_file_without_a_frame_is_left_out_and_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "run"
    fill(folder, [1, 2, 3, 4], NAMES["numbered"])
    victim = folder / "00003.tif"
    data = victim.read_bytes()
    victim.write_bytes({"empty": b"", "header": data[:6], "pixels": data[:-20], "other": b"\xff\xd8\xff\xe0"}[damage])
    assert order_of(folder) == [1, 2, 4]
    (sentence,) = open_stack(folder).info.warnings
    assert "00003.tif" in sentence


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["img_000000000_DAPI_000.tif", "img_000000000_FITC_000.tif"], r"2 series of images: .*_DAPI_#.* .1 files"),
        (["img_000000000_Cy3_000.tif", "img_000000000_Cy5_000.tif", "img_000000001_Cy3_000.tif"], "several channels"),
        (["img_000000000_A_000.tif", "img_000000000_A_001.tif", "img_000000001_A_000.tif"], "several channels, planes"),
        (["img_000000000_Cy3_000.tif", "img_000000001_Cy5_000.tif", "img_000000002_Cy3_000.tif"], "several channels"),
        (["a_001.tif", "b_001.tif"], "2 series"),
        (["1.tif", "01.tif"], "1.tif"),
    ],
)
def test_several_series_in_one_folder_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        tifffile.imwrite(tmp_path / name, frame(0))
    with pytest.raises(StackError, match=words) as refusal:
        open_stack(tmp_path)
    assert refusal.value.todo == "put the frames of one channel and one position into a folder of their own"


def test_mixed_shapes_are_refused_by_name(tmp_path: Path) -> None:
    fill(tmp_path / "run", [1, 2, 3], NAMES["numbered"])
    tifffile.imwrite(tmp_path / "run" / "00002.tif", frame(2, (6, 9)))
    with pytest.raises(StackError, match=r"00002.tif is 9 × 6 px of 16 bit, the frames before it are 8 × 6 px"):
        open_stack(tmp_path / "run")


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"truncate": True}], ids=str)
def test_a_file_with_many_frames_is_to_be_opened_itself(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "movie1.tif", np.zeros((5, 6, 8), np.uint16), photometric="minisblack", **options)
    with pytest.raises(StackError, match=r"movie1.tif holds 5 frames") as refusal:
        open_stack(tmp_path)
    assert refusal.value.todo == "open movie1.tif itself"


def test_a_folder_of_colour_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "1.tif", np.zeros((6, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(StackError, match="colour"):
        open_stack(tmp_path)


def test_only_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.tif").write_bytes(b"")
    (tmp_path / "2.tif").write_bytes(b"II")
    with pytest.raises(StackError, match=r"none of the 2 TIFF files .* 1.tif is not a TIFF file"):
        open_stack(tmp_path)


def test_packed_frames_are_decoded(tmp_path: Path) -> None:
    for i, compression in enumerate(("zlib", None, "zlib")):
        tifffile.imwrite(tmp_path / f"{i}.tif", frame(i), compression=compression)
    assert order_of(tmp_path) == [0, 1, 2]


def test_a_frame_that_changes_later_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fill(folder, [0, 1], NAMES["numbered"])
    stack = open_stack(folder)
    (folder / "00000.tif").unlink()
    with pytest.raises(StackError, match=r"00000.tif cannot be opened"):
        stack.read(0)
    tifffile.imwrite(folder / "00001.tif", frame(1, (7, 8)))
    with pytest.raises(StackError, match=r"00001.tif has changed its shape"):
        stack.read(1)
    with pytest.raises(StackError, match="run has no frame 2"):
        stack.read(2)


# --- Micro-Manager's notes -----------------------------------------------------------------------------------------

SUMMARY = {"PixelSize_um": 0.16, "Interval_ms": 50, "Frames": 4, "Channels": 1, "Slices": 1, "Source": "Micro-Manager"}
FRAME = {"Exposure-ms": 49, "Camera": "iXon", "ROI": "10-20-8-6", "BitDepth": 14}


@pytest.mark.parametrize("name", ["metadata.txt", "run_metadata.txt"])
@pytest.mark.parametrize("lost", [0, 2, 60])
def test_the_metadata_file_is_used_also_where_it_breaks_off(tmp_path: Path, name: str, lost: int) -> None:
    fill(tmp_path / "run", [0, 1, 2, 3], NAMES["micro-manager 1.4"])
    text = json.dumps({"Summary": SUMMARY, "FrameKey-0-0-0": FRAME, "FrameKey-1-0-0": FRAME}, indent=3)
    (tmp_path / "run" / name).write_text(text[: len(text) - lost])
    info = open_stack(tmp_path / "run").info
    assert (info.pixel_size_nm, info.interval_ms, info.exposure_ms) == (pytest.approx(160), 50, 49)
    assert (info.camera, info.bit_depth, info.roi_x, info.roi_y) == ("iXon", 14, 10, 20)
    assert info.details["Format"] == "folder of TIFF files"
    assert info.details["First file"] == "img_000000000_Eos_000.tif"
    assert info.warnings == ()


def test_the_notes_of_micro_manager_2(tmp_path: Path) -> None:
    fill(tmp_path, [0, 1], NAMES["micro-manager 2"])
    key = "Metadata-Default/img_channel000_position000_time000000000_z000.tif"
    (tmp_path / "metadata.txt").write_text(json.dumps({"Summary": SUMMARY | {"Frames": 2}, key: FRAME}))
    assert open_stack(tmp_path).info.exposure_ms == 49


def test_fewer_frames_than_the_metadata_announces(tmp_path: Path) -> None:
    fill(tmp_path / "run", [0, 1], NAMES["micro-manager 1.4"])
    (tmp_path / "run" / "metadata.txt").write_text(json.dumps({"Summary": SUMMARY}))
    assert open_stack(tmp_path / "run").info.warnings == (
        "its metadata announces 4 frames but run holds 2: all are read",
    )


@pytest.mark.parametrize("text", ["", "{", "no JSON", '{"Summary": 3}', "[" * 10_000])
def test_metadata_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    fill(tmp_path, [0, 1], NAMES["micro-manager 1.4"])
    (tmp_path / "metadata.txt").write_text(text)
    assert order_of(tmp_path) == [0, 1]
    assert open_stack(tmp_path).info.warnings == ()
