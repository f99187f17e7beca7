"""Which OpenGL there is, and whether the picture goes through it.

It is asked in a process of its own: a broken driver may take its process with it, or not answer.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal, NamedTuple

from locstream.errors import LocstreamError

Choice = Literal["auto", "on", "off"]
PATIENCE_S = 15.0
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "gdi generic", "basic render")
"""Parts of the names of OpenGL without a graphics card, in lower case."""


class Way(NamedTuple):
    """How the picture reaches the screen: through OpenGL or not, and why, for whoever asks."""

    gl: bool
    words: str


class Trial:
    """Has a process of its own draw a small picture through OpenGL, while this one does something else."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "locstream_view.window.opengl_trial"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def renderer(self, patience_s: float = PATIENCE_S) -> str:
        """Return the name of what draws OpenGL on this screen; "" where a picture does not come through it."""
        try:
            said, _ = self._process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.close()
            return ""
        return said.strip() if self._process.returncode == 0 else ""

    def close(self) -> None:
        """End it, whether it was asked or not. Safe to call twice."""
        with self._process:
            self._process.kill()


def way_to_the_screen(choice: Choice, trial: Trial | None = None) -> Way:
    """Return how to draw: with "auto" through OpenGL wherever a graphics card does it.

    Parameters
    ----------
    choice
        The user's.
    trial
        Begun before; None to begin it now.

    Raises
    ------
    LocstreamError
        "on" was chosen, and OpenGL does not work here.
    """
    if choice == "off":
        return Way(False, "drawn by Qt's painter, as chosen (--gl off)")
    name = (trial or Trial()).renderer()
    if choice == "on" and not name:
        raise LocstreamError(
            "OpenGL does not work on this screen: a small picture drawn through it did not come back",
            safe="nothing was opened",
            todo="leave --gl on away: the picture is the same",
        )
    if choice == "on" or (name and not is_software(name)):
        return Way(True, f"drawn through OpenGL, by vispy: {name}")
    why = f"OpenGL is software here: {name}" if name else "no OpenGL that works"
    return Way(False, f"drawn by Qt's painter; {why}")


def is_software(name: str) -> bool:
    """Return whether a renderer of this name is a program and no graphics card."""
    return any(part in name.lower() for part in SOFTWARE)
