"""Stacks of real instruments and of other groups' programs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from locstream.errors import StackError
from locstream.stacks.open import open_stack
from locstream.stacks.source import Stack

DATA = Path(__file__).resolve().parents[1] / "data"

EOS = "raw_real/EosActin_sptPALM_MM1.4_150of405x327x328"
SCMOS = "raw_real/sCMOS_STORM_hamamatsu_10x256x256"
PICASSO = "raw_simulated_with_truth/picasso_testdata_1000x32x32"
LOW_SNR = "raw_simulated_with_truth/storm_analysis_low_snr_2x300x400"
EPFL = "raw_simulated_with_truth/EPFL2013_TubulinsI_41x256x256/sequence"


def images(stack: Stack) -> npt.NDArray[np.uint16]:
    assert stack.info.frames == len(stack)
    found = np.stack([stack.read(i) for i in range(len(stack))])
    assert found.shape == (len(stack), stack.info.height, stack.info.width)
    assert found.dtype == np.uint16
    stack.close()
    return found


def test_a_real_imagej_stack() -> None:
    path = DATA / "dstorm_locan_5x128x128.tif"
    stack = open_stack(path)
    assert stack.info.warnings == ()
    assert stack.info.pixel_size_nm is None  # the file says: unit=pixel
    np.testing.assert_array_equal(images(stack), tifffile.imread(path))


def test_micro_manager_1_4_folder(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data(EOS)
    stack = open_stack(folder)
    info = stack.info
    assert (len(stack), info.height, info.width) == (150, 327, 328)
    assert info.warnings == ()  # its metadata announces 0 frames, which is no statement
    assert info.pixel_size_nm is None
    assert info.interval_ms is None
    assert info.details["Source"] == "Micro-Manager"
    found = images(stack)
    for i in (0, 1, 99, 149):
        np.testing.assert_array_equal(found[i], tifffile.imread(folder / f"img_{i:09d}_Eos_000.tif"))


def test_a_dax_that_holds_one_frame_more_than_its_header_says(shared_data: Callable[[str], Path]) -> None:
    path = shared_data(f"{SCMOS}/sample.dax")
    stack = open_stack(path)
    assert stack.info.warnings == ("sample.inf announces only 10 frames but sample.dax holds 11: all are read",)
    assert (stack.info.roi_x, stack.info.roi_y) == (0, 0)
    found = images(stack)
    np.testing.assert_array_equal(found, np.fromfile(path, ">u2").reshape(11, 256, 256))
    offset_adu = float(np.load(shared_data(f"{SCMOS}/calib.npy"), allow_pickle=True)[0].mean())
    assert offset_adu < np.median(found) < 1.5 * offset_adu  # the other byte order would be far above


def test_a_dax_wider_than_high(shared_data: Callable[[str], Path]) -> None:
    stack = open_stack(shared_data(f"{LOW_SNR}/test_low_snr.dax"))
    assert stack.info.warnings == ()
    found = images(stack)
    assert found.shape == (2, 300, 400)
    # rows cut at the wrong length shear the picture: neighbours down a column would be strangers
    smooth = found[0].astype(float) - found[0].mean()
    assert np.mean(smooth[:-1] * smooth[1:]) > 3 * abs(np.mean(smooth[:-1] * np.roll(smooth, 100, 1)[1:]))


def test_picasso_raw(shared_data: Callable[[str], Path]) -> None:
    path = shared_data(f"{PICASSO}/testdata.raw")
    stack = open_stack(path)
    info = stack.info
    assert (len(stack), info.height, info.width) == (1000, 32, 32)
    assert (info.pixel_size_nm, info.exposure_ms, info.camera) == (160, 300, "Simulation")
    assert info.warnings == ()
    np.testing.assert_array_equal(images(stack), np.fromfile(path, "<u2").reshape(1000, 32, 32))


def test_numbered_files(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data(EPFL)
    stack = open_stack(folder)
    assert stack.info.warnings == ()
    found = images(stack)
    assert found.shape == (41, 256, 256)
    for i in (0, 9, 40):
        np.testing.assert_array_equal(found[i], tifffile.imread(folder / f"{i + 1:05d}.tif"))


@pytest.mark.parametrize(
    "name",
    ["real_astig_set1_121x54x60_stepUNKNOWN/set1.tif", "real_tetraspeck_2D_17x256x256_200nm/avg_pos1_blue.tif"],
)
def test_bead_stacks(shared_data: Callable[[str], Path], name: str) -> None:
    path = shared_data(f"beads/{name}")
    stack = open_stack(path)
    assert stack.info.warnings == ()
    np.testing.assert_array_equal(images(stack), tifffile.imread(path))


def test_a_zip_is_refused_and_what_is_in_it_is_read(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    path = shared_data("beads/EPFL2016_Beads-AS_151x150x150_10nm/Beads-AS-Exp.tif.zip")
    with pytest.raises(StackError, match="a zip archive; unpack it first"):
        open_stack(path)
    with zipfile.ZipFile(path) as archive:
        archive.extract("Beads-AS-Exp.tif", tmp_path)
    stack = open_stack(tmp_path / "Beads-AS-Exp.tif")
    assert images(stack).shape == (151, 150, 150)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{EOS}/octane_dataset.ser", "a serialised Java object"),
        (f"{EOS}/octane_positions.csv", "text that begins with"),
        (f"{EOS}/Acqusition.xml", "text that begins with '<[?]xml"),
        (f"{SCMOS}/calib.npy", "float64 of shape"),
        (SCMOS, "a folder without frames; it holds"),
        ("raw_real", "hold some: open one of them"),
        ("formats/picasso_hdf5/raw_movie_locs.hdf5", "an HDF5 file"),
        ("formats/smlm/SMLM_dstorm_data.smlm", "a zip archive"),
        ("beads/real_astig_4Pi_top_objective_21x168x168_100nm/bead_top_000_020.mat", "a MATLAB file"),
    ],
)
def test_what_is_no_stack_is_named(shared_data: Callable[[str], Path], name: str, words: str) -> None:
    with pytest.raises(StackError, match=words) as refusal:
        open_stack(shared_data(name))
    assert refusal.value.todo
