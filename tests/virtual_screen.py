"""A virtual screen with software OpenGL, for what Qt's offscreen platform cannot do."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE_S = 60.0


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Run Xvfb and give the ``DISPLAY`` it has chosen; the test is skipped where it is not installed."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1600x1200x24", "+extension", "GLX"]
    xvfb = subprocess.Popen(command, stderr=subprocess.DEVNULL, pass_fds=[theirs])
    os.close(theirs)
    try:
        with os.fdopen(ours, closefd=True) as answer:
            assert select.select([answer], [], [], PATIENCE_S)[0], "Xvfb did not say its display"
            number = answer.readline().strip()
        assert number, "Xvfb ended at once"
        yield f":{number}"
    finally:
        xvfb.terminate()
        xvfb.wait()
