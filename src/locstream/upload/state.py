"""Where services keep what must survive: unfinished runs, the queue of the uploader, and the keys of its sessions."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Return systemd's folder for a service, else the user's own."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "locstream"
