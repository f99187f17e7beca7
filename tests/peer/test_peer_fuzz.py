"""Bytes that a fuzzer finds, guided by what they reach in the code: a message, or a MessageError."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("runs", [8_000, pytest.param(400_000, marks=[pytest.mark.full, pytest.mark.timeout(3_600)])])
def test_what_a_fuzzer_finds_is_a_message_or_refused(runs: int, atheris_python: Path, tmp_path: Path) -> None:
    places = [sysconfig.get_paths()["purelib"], ROOT / "src", ROOT / "daemon", ROOT / "tests"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(place) for place in places)}
    command = [
        atheris_python,
        ROOT / "tests" / "fuzz_messages.py",
        tmp_path,
        f"-runs={runs}",
        "-max_len=8192",
        "-seed=1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-5_000:]
    assert f"Done {runs} runs" in done.stderr
