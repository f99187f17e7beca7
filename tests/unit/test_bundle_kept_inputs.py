"""What made the data lies beside them: configuration and calibration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from killed_run import header
from locstream.bundle.files import RunFiles
from locstream.bundle.kept_inputs import keep_inputs
from locstream.errors import LocstreamError


def test_the_camera_calibration_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "camera.h5"
    source.write_bytes(b"maps")
    files = RunFiles(tmp_path, "run")
    assert keep_inputs(files, header(calibration_file=str(source))) == ()
    assert files.camera.read_bytes() == b"maps"
    assert not files.astigmatism.exists()


def test_a_calibration_that_is_gone_is_told(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "run")
    (said,) = keep_inputs(files, header(calibration_file=str(tmp_path / "gone.h5")))
    assert "gone.h5 is no longer there; the results keep" in said
    assert not files.camera.exists()


def test_the_astigmatism_is_kept_as_it_was_used(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "run")
    keep_inputs(files, header(astigmatism={"format": 1, "z_min_nm": -400.0}))
    assert '"z_min_nm": -400.0' in files.astigmatism.read_text()


def test_nothing_is_overwritten_unless_told(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, "run")
    files.config.write_text("mine")
    with pytest.raises(LocstreamError, match="exists already"):
        keep_inputs(files, header())
    assert files.config.read_text() == "mine"
    keep_inputs(files, header(), overwrite=True)
    assert "bin_nm = 25.0" in files.config.read_text()


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="could not be kept"):
        keep_inputs(RunFiles(tmp_path / "none", "run"), header())
