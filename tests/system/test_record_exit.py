"""Interpreters that have held a camera end cleanly, and importing the camera layer leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from record_cameras import DEMO_CFG

DEMO = """
import sys
from pathlib import Path
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
options = MicroManagerOptions(config_file=Path(sys.argv[1]), exposure_ms=1, frames=5, buffer_mb=16)
source = open_micromanager(options)
source.start()
numbers = []
while not source.exhausted:
    frame = source.read(1)
    if frame is not None:
        numbers.append(frame.number)
source.close()
print(numbers)
"""

SIMULATED = """
from locstreamd.record.sample import SimulationOptions
from locstreamd.record.simulated import open_simulated
source = open_simulated(SimulationOptions(width=32, height=32, frames=5, exposure_ms=1))
source.start()
numbers = []
while not source.exhausted:
    frame = source.read(1)
    if frame is not None:
        numbers.append(frame.number)
source.close()
print(numbers)
"""

INTERRUPTED = """
import sys
from pathlib import Path
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
source = open_micromanager(MicroManagerOptions(config_file=Path(sys.argv[1]), exposure_ms=1, buffer_mb=16))
source.start()
source.read(1)
source.close()
print([0, 1, 2, 3, 4])
"""

REFUSED = """
import sys
from pathlib import Path
from locstream.errors import ConfigError
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
try:
    open_micromanager(MicroManagerOptions(config_file=Path(sys.argv[1]), properties={"Camera": {"Gain": 99}}))
except ConfigError:
    print([0, 1, 2, 3, 4])
"""

pytestmark = pytest.mark.system


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(DEMO_CFG)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_ends_cleanly(script: str, times: int) -> None:
    for _ in range(times):
        done = run(script)
        assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 2, 3, 4]\n", "")


@pytest.mark.parametrize("script", [DEMO, SIMULATED, INTERRUPTED, REFUSED], ids=["demo", "simulated", "cut", "refused"])
def test_interpreters_that_held_a_camera_exit_with_status_0(script: str) -> None:
    assert_ends_cleanly(script, times=3)


@pytest.mark.full
@pytest.mark.parametrize("script", [DEMO, SIMULATED, INTERRUPTED, REFUSED], ids=["demo", "simulated", "cut", "refused"])
def test_very_many_interpreters_that_held_a_camera_exit_with_status_0(script: str) -> None:
    assert_ends_cleanly(script, times=30)


@pytest.mark.parametrize("setting", ["", "0"])
def test_importing_the_camera_layer_writes_nothing_and_leaves_logging_alone(setting: str, tmp_path: Path) -> None:
    script = """
import logging
logging.getLogger().setLevel(logging.ERROR)
from locstreamd.record import mmcore
mmcore.release(mmcore.CMMCorePlus())
print(logging.getLogger().level == logging.ERROR, logging.getLogger().handlers)
"""
    home = tmp_path / "home"
    home.mkdir()
    done = run(script, HOME=str(home), XDG_DATA_HOME=str(home / "data"), PYMM_LOG_FILE=setting)
    assert (done.returncode, done.stdout) == (0, "True []\n"), done.stderr
    assert list(home.rglob("*")) == []


def test_a_log_file_the_user_asked_for_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "pymmcore-plus.log"
    done = run("from locstreamd.record import mmcore", PYMM_LOG_FILE=str(log))
    assert done.returncode == 0, done.stderr
    assert log.exists()


def test_options_are_read_without_the_camera_layer() -> None:
    script = """
import sys
import locstreamd.record.micromanager
import locstreamd.record.replay
print(sorted({"pymmcore", "pymmcore_plus"} & set(sys.modules)))
"""
    done = run(script)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
