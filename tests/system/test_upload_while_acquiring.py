"""The uploader of the real command waits while the real daemon acquires, and a run that asks for it is handed on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from finished_run import finished
from locstream.bundle.bundle import open_bundles
from locstream.bundle.verify import verify_folder
from locstream.upload.queue import Queue, default_queue_folder

pytestmark = pytest.mark.system

CONFIG = """
[simulation]
width = 64
height = 64
emitters_per_frame = 5.0
[bundle]
upload = true
[metadata]
title = "Pores"
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the processes a home of their own, with a folder to hand runs on to; return that."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "lab").mkdir()
    (tmp_path / "settings" / "locstream").mkdir(parents=True)
    (tmp_path / "settings" / "locstream" / "upload.toml").write_text(f'folder = "{tmp_path / "lab"}"\n')
    (tmp_path / "scope.toml").write_text(CONFIG)
    return tmp_path / "lab"


def test_it_waits_for_the_acquisition_and_then_hands_on(
    tmp_path: Path, lab: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    earlier = finished(tmp_path / "earlier")
    Queue(default_queue_folder()).add(open_bundles(earlier.folder)[0], time.time())
    acquisition = locstream("run", "scope.toml", "--name", "cell", "--out", "cell")
    wait_until(lambda: "acquiring" in state(locstream), what="an acquisition")
    uploader = locstream("upload", "now")
    wait_until(lambda: uploader.process.stdout.readline().startswith("waits for the acquisition"), what="the uploader")
    assert list(lab.iterdir()) == []
    assert acquisition.process.poll() is None
    assert locstream("stop").finish() == 0
    assert acquisition.finish() == 0, acquisition.err
    assert uploader.finish() == 0, uploader.err
    assert locstream("upload", "now").finish() == 0
    found = {folder.name.rpartition("-")[0] for folder in lab.iterdir()}
    assert found == {"run", "cell"}
    for folder in lab.iterdir():
        assert verify_folder(folder).faults == ()
    status = locstream("upload", "status")
    assert status.finish() == 0
    assert status.out.count("  filed since ") == 2


def test_the_command_names_what_is_harmed(tmp_path: Path, lab: Path, locstream: Callable) -> None:
    folder = finished(tmp_path / "run").folder
    verify = locstream("verify", folder)
    assert verify.finish() == 0
    (folder / "run_recon.png").unlink()
    harmed = locstream("verify", folder)
    assert harmed.finish() == 1
    assert harmed.err == "run_recon.png: is missing\n"
    form = locstream("metadata")
    assert form.finish() == 0
    assert "[labelling]" in form.out


def state(locstream: Callable) -> str:
    status = locstream("status")
    return status.out if status.finish() == 0 else ""
