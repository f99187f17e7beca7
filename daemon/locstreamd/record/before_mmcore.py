"""What has to be done before pymmcore-plus is imported, which reads these variables then; see `mmcore`."""

from __future__ import annotations

import logging
import os

ROOT_LEVEL = logging.getLogger().level
"""Level of the root logger, which the import changes."""

if os.environ.get("PYMM_LOG_FILE", "0") in ("", "0", "false", "no", "none"):  # which it takes for "the usual place"
    os.environ["PYMM_LOG_FILE"] = os.devnull
os.environ.setdefault("PYMM_SIGNALS_BACKEND", "psygnal")
