"""An uploader that is killed before any of its operations on files goes on, and the outcome is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from finished_run import finished
from locstream.bundle.bundle import Bundle, open_bundles
from locstream.bundle.verify import verify_folder
from locstream.upload.queue import Queue

pytestmark = pytest.mark.system
PROCESS = Path(__file__).resolve().parents[1] / "uploading_process.py"
REDUCED = 11
"""The short form kills before every so manyeth operation."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundles(finished(tmp_path_factory.mktemp("upload") / "run").folder)[0]


def upload(kill_before: int, folder: Path) -> bool:
    """Upload in a process of its own; say whether it came to its end."""
    command = [sys.executable, PROCESS, str(kill_before), folder / "queue", folder / "lab"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == 0


def census(folder: Path, bundle: Bundle) -> dict[str, object]:
    """Return what there is in the end."""
    (ticket,) = Queue(folder / "queue").tickets()
    target = folder / "lab" / f"run-{bundle.uuid}"
    assert verify_folder(target).faults == ()
    return {
        "state": ticket.state,
        "lab": sorted(path.relative_to(folder / "lab").as_posix() for path in (folder / "lab").rglob("*")),
        "queue": sorted(path.name for path in (folder / "queue").iterdir() if not path.name.endswith(".lock")),
    }


def kill_everywhere(tmp_path: Path, bundle: Bundle, step: int) -> int:
    def fresh(name: str) -> Path:
        folder = tmp_path / name
        (folder / "lab").mkdir(parents=True)
        Queue(folder / "queue").add(bundle, 1.0)
        return folder

    undisturbed = fresh("undisturbed")
    assert upload(10**9, undisturbed)
    expected = census(undisturbed, bundle)
    assert expected["state"] == "filed"
    kills = 0
    while True:
        folder = fresh(f"killed-{kills}")
        if upload(1 + kills * step, folder):
            break
        kills += 1
        assert upload(10**9, folder)
        assert census(folder, bundle) == expected
    return kills


def test_killed_now_and_then(tmp_path: Path, bundle: Bundle) -> None:
    assert kill_everywhere(tmp_path, bundle, REDUCED) >= 3


@pytest.mark.full
def test_killed_before_every_operation(tmp_path: Path, bundle: Bundle) -> None:
    assert kill_everywhere(tmp_path, bundle, 1) >= 60
