"""`locstream doctor` as a command, on this computer as it is."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

CONFIG = Path(__file__).resolve().parents[2] / "config"
LINE = re.compile(r"(ok|warning|problem) +(\S.{0,14}?)  +(\S.*)")


def findings(out: str) -> dict[str, str]:
    """Return the level of each finding by its name; further lines are indented."""
    heads = [line for line in out.splitlines()[:-1] if not line.startswith(" ")]
    return {match[2]: match[1] for match in map(LINE.fullmatch, heads)}


def test_without_a_configuration(tmp_path: Path, locstream: Callable) -> None:
    doctor = locstream("doctor")
    status = doctor.finish()
    found = findings(doctor.out)
    assert {"Python", "numba", "kernels", "Micro-Manager", "memory", "disk speed", "clock", "viewer"} <= set(found)
    assert "camera" not in found
    assert status == (1 if "problem" in found.values() else 0), doctor.out
    assert max(map(len, doctor.out.splitlines())) <= 118
    assert doctor.err == "", "nothing but the findings"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_camera_under_micro_manager(tmp_path: Path, locstream: Callable) -> None:
    for name in ("micromanager.toml", "demo.cfg"):
        shutil.copy(CONFIG / name, tmp_path)
    doctor = locstream("doctor", "micromanager.toml")
    doctor.finish()
    found = findings(doctor.out)
    assert {name: found[name] for name in ("camera", "camera buffer", "calibration", "configuration")} == {
        "camera": "ok", "camera buffer": "ok", "calibration": "ok", "configuration": "ok",
    }  # fmt: skip
    assert "256 × 256 px at 100 frames/s, exposure 10 ms" in doctor.out
    assert "the camera needs 13.1 MB/s" in doctor.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo.cfg", "micromanager.toml"]


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, locstream: Callable) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.toml").write_text(
        f"[acquisition]\nfolder = '{tmp_path}/file/run'\n[micromanager]\nconfig_file = 'missing.cfg'\n"
    )
    doctor = locstream("doctor", "bad.toml")
    assert doctor.finish() == 1
    found = findings(doctor.out)
    assert (found["camera"], found["folder"]) == ("problem", "problem")
    assert "there is no Micro-Manager configuration" in doctor.out
    assert doctor.out.count("→") >= 2
    assert doctor.out.splitlines()[-1].endswith(" problems")
