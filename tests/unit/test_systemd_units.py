"""The units are accepted without a word, and are hardened as far as numba and camera drivers allow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).resolve().parents[2] / "systemd").glob("*.service"))
MOST_EXPOSED = 40
"""Tenths of systemd's exposure level."""


@pytest.fixture(params=UNITS, ids=lambda p: p.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a unit whose program exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    path = tmp_path / request.param.name
    path.write_text(request.param.read_text())
    return path


def test_there_is_a_unit() -> None:
    assert {p.name for p in UNITS} >= {"locstream.service", "locstream-upload.service", "locstream-worker.service"}


def test_systemd_accepts_it_without_a_word(unit: Path) -> None:
    """Unknown keys only warn, with status 0: so nothing may be said at all."""
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelt_key_is_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("TimeoutStopSec", "TimeOutStopSecs"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert "TimeOutStopSecs" in done.stderr


def test_it_is_hardened(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:]


def test_numba_may_compile(unit: Path) -> None:
    assert "MemoryDenyWriteExecute=yes" not in unit.read_text()
    assert "CacheDirectory=locstream" in unit.read_text(), "where compiled kernels are kept, each version's apart"
